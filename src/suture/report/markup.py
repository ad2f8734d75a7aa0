# SPDX-License-Identifier: GPL-2.0-or-later
"""HTML as values: text is always escaped, and only `element` makes markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from suture.host.terminal import printable

VOID = frozenset({"meta", "br"})
"""Elements without an end tag (HTML, 13.1.2)."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Markup | None | Iterable["Child"]
"""Text, markup, nothing, or several of them."""


def element(name: str, /, *children: Child, **attributes: str | int | None) -> Markup:
    """Return an element.

    :param attributes: ``class_`` for ``class``, ``data_label`` for ``data-label``; None leaves one
        out.
    """
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(str(value))}"')
    start = f"<{' '.join(words)}>"
    return Markup(start if name in VOID else f"{start}{fragment(*children)}</{name}>")


def fragment(*children: Child) -> Markup:
    """Return several children, one after the other."""
    return Markup("".join(map(_html, children)))


def _html(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return escape(printable(child))
    return "".join(map(_html, child))
