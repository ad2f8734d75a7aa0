# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of headers that nearly all objects include: the objects that are looked at."""

from __future__ import annotations

import pytest

from bench import header_cases
from bench.header_cases import KINDS, SITES, HeaderKind, HeaderSite
from suture.workspace import objects
from suture.workspace.applying import Changed
from suture.workspace.prepare import Workspace
from suture.workspace.selection import Selection, select


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
    edited = header_cases.edited(workspace.tree, site, kind)
    found = selected(workspace, dict(edited))
    assert [f"{one.name[:-2]}.c" for one in found.direct] == [site.source]
    if site.inline != "owner_on_cpu" or not kind.changes_inline:
        # Macros that get "owner" and "cpu" are everywhere: docs/headers.md.
        assert len(found.users) < 64
    if kind.changes_inline:
        callers = {
            one.name
            for path in workspace.tree.glob(f"{site.source.split('/')[0]}/**/*.c")
            if site.inline in path.read_text()
            if (one := objects.everything(workspace).of(str(path.relative_to(workspace.tree))))
        }
        assert callers <= {one.name for one in found.users + found.direct}


def test_a_name_that_macros_put_together_reaches_who_uses_them(workspace: Workspace) -> None:
    """``SYSCALL_DEFINE3(madvise, ...)`` makes ``__do_sys_madvise`` (include/linux/syscalls.h),
    which no text has."""
    header = "include/linux/mm.h"
    text = (workspace.tree / header).read_text()
    macro = "#define __do_sys_madvise(a, b, c) 0\n"
    found = selected(
        workspace, {header: text.replace("enum mf_flags {", f"{macro}enum mf_flags {{")}
    )
    assert "mm/madvise.o" in {one.name for one in found.users}
    assert len(found.users) < 64
