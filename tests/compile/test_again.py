# SPDX-License-Identifier: GPL-2.0-or-later
"""The same patch again: what was compiled and linked once is not compiled and linked twice."""

from __future__ import annotations

import shutil

from suture.workspace.prepare import Workspace
from tests.command import Place
from tests.patches import Edit, diff

SOURCE = "fs/proc/meminfo.c"


def test_the_same_patch_again_neither_compiles_nor_links(
    place: Place, workspace: Workspace
) -> None:
    for number in (1, 2):
        place.patch(
            diff(workspace.tree, Edit(SOURCE, '"MemTotal:       "', f'"Again{number}:         "')),
            f"{number}.patch",
        )
    build = place.build("1.patch", "--name", "again")
    first = place.run(*build)
    assert first.returncode == 0, first.stderr
    module = place.directory / "again.ko"
    content = module.read_bytes()
    module.unlink()
    shutil.rmtree(place.cache / "link")
    (place.cache / "link").write_text("no directory, so that nothing can be linked")
    second = place.run(*build)
    assert second.returncode == 0, second.stderr
    assert "Compiling" not in second.stderr
    assert module.read_bytes() == content
    assert place.run(*place.build("2.patch", "--name", "again")).returncode == 1
