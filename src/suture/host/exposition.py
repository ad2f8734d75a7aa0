# SPDX-License-Identifier: GPL-2.0-or-later
"""Prometheus' text format (prometheus/docs: ``content/docs/instrumenting/exposition_formats.md``):
lines without the line feeds at their ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def family(
    name: str, about: str, values: Sequence[tuple[str, float]], kind: str = "gauge"
) -> Iterator[str]:
    """Yield one metric with the help and type that the format requires.

    :param values: each with its `labels`, or "" without.
    :param kind: ``gauge`` or ``counter``.
    """
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
    for label, value in values:
        yield f"{name}{label} {value:g}" if isinstance(value, float) else f"{name}{label} {value:d}"


def labels(**values: str) -> str:
    """Return the labels of a value."""
    pairs = (f'{name}="{_escaped(text)}"' for name, text in values.items())
    return f"{{{','.join(pairs)}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
