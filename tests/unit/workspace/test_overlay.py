# SPDX-License-Identifier: GPL-2.0-or-later
"""The shadow that the patched side is compiled in; GCC is the witness."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from suture.workspace.overlay import shadow
from tests.unit.workspace.test_applying import ORIGINAL, contents, tree

__all__ = ["tree"]


def preprocess(root: Path, source: str) -> tuple[str, list[str]]:
    listed = root.parent / "listed"
    command = ["gcc", "-E", "-P", f"-Wp,-MMD,{listed}", "-I./include", source]
    out = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return out, listed.read_text().partition(":")[2].replace("\\\n", " ").split()


def test_file_names_read_the_same_on_both_sides(tree: Path) -> None:
    (tree / "fs/x.c").write_text('__FILE__\n#include <linux/h.h>\n#include "deep/d.h"\n')
    (tree / "include/linux/h.h").write_text("__FILE__ old\n")
    (tree / "fs/deep/d.h").write_text("__FILE__\n")
    with shadow(tree, {"include/linux/h.h": b"__FILE__ new\n"}) as made:
        patched, _ = preprocess(made.root, "fs/x.c")
    original, _ = preprocess(tree, "fs/x.c")
    assert patched == original.replace("old", "new")


def test_the_shadow_is_gone_afterwards_and_the_tree_untouched(tree: Path) -> None:
    before = contents(tree)
    with shadow(tree, {"fs/x.c": b"new", "fs/added/n.h": b"new"}) as made:
        assert (made.root / "fs/x.c").read_bytes() == b"new"
        assert (made.root / "fs/added/n.h").read_bytes() == b"new"
        assert (made.root / "fs/y.c").read_text() == ORIGINAL
    assert contents(tree) == before
    assert not made.root.exists()


def test_a_header_reached_through_a_linked_directory_is_found_out(tree: Path) -> None:
    (tree / "net/n.c").write_text('#include "../fs/deep/d.h"\n')
    (tree / "fs/deep/d.h").write_text('#include "../common.h"\n')
    (tree / "fs/common.h").write_text("old\n")
    with shadow(tree, {"fs/common.h": b"new\n"}) as made:
        text, read = preprocess(made.root, "net/n.c")
        assert "old" in text, "the kernel follows the link before '..', and so leaves the shadow"
        escaped = made.escaped(read)
        assert [os.path.normpath(path) for path in escaped] == ["fs/common.h"]
        for path in escaped:
            made.materialise_towards(path)
        text, read = preprocess(made.root, "net/n.c")
        assert "new" in text
        assert made.escaped(read) == ()
