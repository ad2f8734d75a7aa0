# SPDX-License-Identifier: GPL-2.0-or-later
"""The page: well-formed, complete, and harmless whatever the texts in it are."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from itertools import pairwise

from suture.report import html
from suture.report.content import Origin, PatchReport, ReportVerdict
from tests.unit.report.example import PROBLEM, REPORT, SCRIPT

EMPTY = PatchReport(
    1, Origin.REFUSED, "fix", "6.1", "", ReportVerdict(False, "No.", problems=(PROBLEM,))
)
VOID = {"meta", "br"}


class Page(HTMLParser):
    """The elements of a page, its text, and whether every element ends where it should."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts = 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data

    def values(self, tag: str, attribute: str) -> list[str | None]:
        return [found.get(attribute) for name, found in self.elements if name == tag]


PAGE = Page(html.render(REPORT))


def test_every_part_is_on_the_page() -> None:
    for text in (
        "It fits.", "another", "the rest", "with fuzz 1", "+++ b/net/a.c", "Jane Doe <jane@example.org>", "CVE-2026-12345",
        "return x < 2;", "cmp $2,%edi", "call <b>", "4 equal instructions", "3 more rows",
        "Its source changes.", "It uses LIMIT.", "#define LIMIT 2", "lock-unpaired", "e1",
        "it is private", "start() in .init.text", "by the core, with vmlinux", "printk", "prepare()",
        "table", "0x1234", "handed to queue_work()", "ab" * 32, "cd" * 32, "gcc-12 12.2.0", "2.5 s",
        "return thunk (2)", "mended+0x5", "+0x5: expected 89, found 31", "udf is not loaded",
        "as it should", "not counted", "WARNING: at net/a.c", "symbol-not-found", "0xffffffff81000000",
    ):  # fmt: skip
        assert text in PAGE.text, text


def test_texts_of_authors_stay_text() -> None:
    assert SCRIPT in PAGE.text
    scripts = [found for name, found in PAGE.elements if name == "script"]
    assert scripts == [{"type": "application/json", "id": "report"}]
    assert "b" not in {name for name, _ in PAGE.elements}


def test_only_web_addresses_are_links() -> None:
    links = [link for link in PAGE.values("a", "href") if link and not link.startswith("#")]
    assert links == [
        "https://www.cve.org/CVERecord?id=CVE-2026-12345",
        "https://lore.kernel.org/r/1",
    ]


def test_the_page_needs_no_network() -> None:
    (policy,) = (
        found["content"] for _, found in PAGE.elements if found.get("http-equiv") is not None
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert not {"img", "link", "iframe"} & {name for name, _ in PAGE.elements}
    assert not any("src" in found for _, found in PAGE.elements)
    assert "url(" not in html.render(REPORT)


def test_headings_are_in_order_and_the_contents_lead_to_sections() -> None:
    levels = [int(name[1]) for name, _ in PAGE.elements if name in ("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    sections = [name for name in PAGE.values("section", "id") if name]
    assert [f"#{name}" for name in sections] == [
        link for link in PAGE.values("a", "href") if link and link.startswith("#")
    ]
    assert len(set(sections)) == len(sections)


def test_a_row_has_a_cell_for_each_column_that_is_in_use() -> None:
    assert "Problem" not in PAGE.values("td", "data-label")
    assert set(PAGE.values("td", "data-label")) >= {
        "Address",
        "Bytes equal",
        "SHA-256",
    }


def test_the_page_carries_the_report() -> None:
    assert html.read(html.render(REPORT).encode()) == REPORT
    assert html.read(b"<!DOCTYPE html><title>other</title>") is None


def test_control_characters_are_shown_escaped() -> None:
    named = dataclasses.replace(
        REPORT, fixes=(dataclasses.replace(REPORT.fixes[0], title="a\x1b[1mb"),)
    )
    page = html.render(named)
    assert "\x1b" not in page
    assert "\\x1b[1mb" in Page(page).text


def test_a_refused_build_has_a_page_too() -> None:
    page = Page(html.render(EMPTY))
    assert "is not exported" in page.text
    assert "What changes" not in page.text
