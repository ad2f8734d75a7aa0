# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of headers that nearly all objects include: the objects that are looked at."""

from __future__ import annotations

import re

import pytest

from bench import header_cases
from bench.header_cases import KINDS, SITES, HeaderKind, HeaderSite
from suture.workspace import objects
from suture.workspace.applying import Changed
from suture.workspace.prepare import Workspace
from suture.workspace.selection import Selection, select

PUT_TOGETHER = {"owner_on_cpu", "nft_set_gc_interval", "mapping_writably_mapped"}
"""Rows of words that macros may put together: all objects are looked at (docs/headers.md)."""


def selected(workspace: Workspace, edited: dict[str, str]) -> Selection:
    changes = [
        Changed(path, (workspace.tree / path).read_bytes(), text.encode())
        for path, text in edited.items()
    ]
    return select(workspace, changes)


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.header.rpartition("/")[2])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_objects_that_mention_nothing_are_not_looked_at(
    kind: HeaderKind, site: HeaderSite, workspace: Workspace
) -> None:
    found = selected(workspace, dict(header_cases.edited(workspace.tree, site, kind)))
    assert [f"{one.name[:-2]}.c" for one in found.direct] == [site.source]
    if not kind.changes_inline:
        assert len(found.users) < 64
        return
    assert (len(found.users) < 64) == (site.inline not in PUT_TOGETHER)
    # Without the lines of comments: mm/mremap.c has one that mentions vma_is_temporary_stack().
    word = re.compile(rf"^(?!\s*\*).*\b{site.inline}\b", re.MULTILINE)
    callers = {
        one.name
        for path in workspace.tree.glob(f"{site.source.split('/')[0]}/**/*.c")
        if word.search(path.read_text(errors="replace"))
        if (one := objects.everything(workspace).of(str(path.relative_to(workspace.tree))))
    }
    assert callers <= {one.name for one in found.users + found.direct}


def test_a_name_that_macros_put_together_may_reach_any(workspace: Workspace) -> None:
    """``PAGEFLAG(Dirty, dirty)`` makes ``SetPageDirty`` (include/linux/page-flags.h)."""
    header = "include/linux/mm.h"
    text = (workspace.tree / header).read_text()
    changed = f"#define SetPageDirty(page) 0\n{text}"
    assert len(selected(workspace, {header: changed}).users) > 5000
