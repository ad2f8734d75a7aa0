# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages of HTML that need nothing else: no script, no network.  They read well printed, on a phone,
in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from itertools import compress

from suture.report.markup import Child, Markup, element, fragment

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The page fetches nothing, whatever a module's texts hold."""

SHORT = frozenset({"What", "Object", "Position", "Address", "Bytes equal", "Links equal"})
"""Columns whose cells stay in one line."""

CVE_RECORD = "https://www.cve.org/CVERecord?id="

PageSection = tuple[str, str, Child]
"""Name for links, heading, content."""


def whole(
    name: str, header: Child, sections: Sequence[PageSection], footer: str, data: Child = None
) -> str:
    """Return a page.

    :param name: its title.
    :param header: what stands above the contents.
    :param data: what a program may read from it.
    """
    contents = [
        element("li", element("a", heading, href=f"#{anchor}")) for anchor, heading, _ in sections
    ]
    style = resources.files("suture.report").joinpath("page.css").read_text()
    body = fragment(
        element(
            "header",
            header,
            element("nav", element("ul", contents), aria_label="Contents") if contents else None,
        ),
        element("main", [_section(*one) for one in sections]),
        element("footer", element("p", footer)),
        data,
    )
    head = fragment(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", name),
        element("style", Markup(style)),
    )
    page = element("html", element("head", head), element("body", body), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _section(name: str, heading: str, content: Child) -> Markup:
    label = f"{name}-heading"
    return element(
        "section", element("h2", heading, id=label), content, id=name, aria_labelledby=label
    )


def facts(facts: Iterable[tuple[str, str]]) -> Markup:
    """Return names and values."""
    pairs = [fragment(element("dt", name), element("dd", value)) for name, value in facts]
    return element("dl", pairs)


def separated(children: Iterable[Child]) -> Markup:
    """Return children in lines of their own."""
    return fragment(
        [
            child if not number else fragment(element("br"), child)
            for number, child in enumerate(children)
        ]
    )


def link(address: str, text: str) -> Child:
    """Return a link, for web addresses alone: a module's texts are anybody's."""
    is_web = address.startswith(("https://", "http://"))
    return element("a", text, href=address, rel="noreferrer") if is_web else text


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Child]], caption: str | None = None
) -> Markup:
    """Return a table; on a phone each row is a block of labelled lines."""
    filled = [list(row) for row in rows]
    # A column in which no row has anything says nothing: mostly "Problem".
    kept = [any(row[number] for row in filled) for number in range(len(columns))]
    shown = list(compress(columns, kept))
    heads = element("tr", [element("th", name, scope="col") for name in shown])
    body = []
    for row in filled:
        cells = [
            element("td", cell, data_label=name, class_=_cell_class(name, cell))
            for name, cell in zip(shown, compress(row, kept), strict=True)
        ]
        body.append(element("tr", cells))
    return element(
        "table",
        element("caption", caption) if caption else None,
        element("thead", heads),
        element("tbody", body),
        class_="rows",
    )


def _cell_class(column: str, cell: Child) -> str | None:
    if not cell:
        return "empty"
    return "short" if column in SHORT else None
