# SPDX-License-Identifier: GPL-2.0-or-later
"""What files are built into, by toy lists of objects and include lines; `tests.compile.test_fixes`
has those of a real kernel."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from suture.fixes.objnames import ObjnameLookup
from suture.workspace import objects
from suture.workspace.objects import Objects

LISTED: dict[str, Any] = dict.fromkeys(
    ("fs/smb/client/connect.o", "arch/x86/kvm/x86.o", "mm/gup.o", "net/team/team.o"), None
)
MODULES = {
    "fs/smb/client/connect.o": ("cifs",),
    "arch/x86/kvm/x86.o": ("kvm",),
    "net/team/team.o": ("team", "team_test"),
}
LINES = """\
fs/smb/client/connect.c:#include "trace.h"
arch/x86/kvm/x86.c:#include "trace.h"
mm/gup.c:#include <linux/mm.h>
net/team/team.c:#include <linux/mm.h>
net/team/team.c:#include <linux/if_team.h>
net/team/team.c:#include "../../mm/internal.h"
net/team/team.c:#include "part.c"
"""


@pytest.fixture
def lookup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjnameLookup:
    monkeypatch.setattr(objects, "everything", lambda workspace: Objects(LISTED, MODULES))
    workspace: Any = SimpleNamespace(tree=tmp_path, include_lines=lambda: LINES)
    return ObjnameLookup(workspace)


@pytest.mark.parametrize(
    ("path", "objnames"),
    [
        ("mm/gup.c", {"vmlinux"}),
        ("net/team/team.c", {"team", "team_test"}),
        ("net/team/other.c", set()),
        ("net/team/part.c", {"team", "team_test"}),
        ("include/linux/mm.h", {"vmlinux"}),
        ("include/linux/if_team.h", {"team", "team_test"}),
        ("fs/smb/client/trace.h", {"cifs", "kvm"}),
        ("mm/internal.h", {"team", "team_test"}),
        ("include/linux/nobody.h", set()),
    ],
)
def test_objnames_of_a_file(path: str, objnames: set[str], lookup: ObjnameLookup) -> None:
    assert lookup.of(path) == objnames
