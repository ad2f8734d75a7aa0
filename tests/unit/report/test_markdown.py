# SPDX-License-Identifier: GPL-2.0-or-later
"""A report for mails: complete, and no text of an author is taken for markup."""

from __future__ import annotations

import re

from suture.report import markdown
from tests.unit.report.example import REPORT

TEXT = markdown.render(REPORT)


def test_every_part_is_in_the_text() -> None:
    for text in (
        "**It fits.**", "- another", "CVE-2026-12345", "+    return x < 2;", "-     8  cmp $1,%edi",
        "@@ 4 equal instructions @@", "... 3 more rows", "### `vmlinux: mended(),2`", "`lock-unpaired`",
        "Accepted: it is private", "it ran once", "`printk`", "`prepare()`", "`table`", "0x1234",
        "ab" * 32, "gcc-12 12.2.0", "return thunk (2)", "mended+0x5", "+0x5: expected 89, found 31", "udf is not loaded",
        "as it should", "not counted", "WARNING: at net/a.c",
    ):  # fmt: skip
        assert text in TEXT, text


def test_markup_in_titles_is_escaped() -> None:
    assert TEXT.startswith("# net: mend \\| and \\` and \\</script\\>")


def test_every_block_ends_and_every_table_row_has_its_columns() -> None:
    fences = re.findall(r"^(```+)", TEXT, re.MULTILINE)
    assert fences
    assert len(fences) % 2 == 0
    for table in re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(columns) == 1, table
