# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as a JSON document, its schema, and the way back."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from suture.report.content import FORMAT, PatchReport


def plain(report: PatchReport) -> dict[str, Any]:
    """Return a report as dictionaries, lists, texts and numbers."""
    made: dict[str, Any] = msgspec.to_builtins(report)
    return made


def encoded(report: PatchReport) -> bytes:
    """Return a report as JSON, for people to read as well."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def parse(data: bytes) -> PatchReport | None:
    """Read the result of `encoded`; None for anything else, and for a newer report."""
    try:
        report = msgspec.json.decode(data, type=PatchReport)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return report if report.format == FORMAT else None


def schema() -> dict[str, Any]:
    """Return the document's JSON schema."""
    made = msgspec.json.schema(PatchReport)
    for definition in made["$defs"].values():
        # Up to Python 3.12 a docstring is indented as in the source.
        definition["description"] = inspect.cleandoc(definition["description"])
    return made
