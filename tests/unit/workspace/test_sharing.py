# SPDX-License-Identifier: GPL-2.0-or-later
"""Sources that are unpacked next to another tree; tar(1) says what they have to be."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.workspace import sharing

SAME, CHANGED, ADDED, TOOL, LINK = "kernel/fork.c", "Makefile", "mm/new.c", "scripts/tool.sh", "inc"

Pack = Callable[[], Path]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A tree that was unpacked before, with one more file."""
    tree = tmp_path / "other"
    for name, text in {SAME: "int fork;\n", CHANGED: "SUBLEVEL = 1\n", "mm/old.c": ""}.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tree / "scripts").mkdir()
    (tree / TOOL).write_text("#!/bin/sh\n")  # there it cannot be executed
    return tree


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    top = tmp_path / "linux"
    for name, text in {
        SAME: "int fork;\n",
        CHANGED: "SUBLEVEL = 2\n",
        ADDED: "int new;\n",
        TOOL: "#!/bin/sh\n",
        "kernel/" + "long" * 40 + ".c": "",
    }.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (top / TOOL).chmod(0o755)
    (top / LINK).symlink_to("mm")
    packed = tmp_path / "linux.tar.xz"
    subprocess.run(["tar", "-cJf", packed, "-C", tmp_path, "linux"], check=True)
    return packed


def unpacked(archive: Path, other: Path) -> Path:
    tree = archive.parent / "tree"
    tree.mkdir()
    shared = sharing.unpack(archive, tree, other)
    files = (path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    names = (str(path.relative_to(tree)) for path in files)
    assert shared == {name for name in names if is_shared(tree, other, name)}
    return tree


def is_shared(tree: Path, other: Path, name: str) -> bool:
    return (other / name).exists() and (tree / name).samefile(other / name)


def test_the_tree_is_the_archives_and_what_is_equal_is_shared(archive: Path, other: Path) -> None:
    tree = unpacked(archive, other)
    told = subprocess.run(
        ["tar", "-df", archive, "--strip-components=1", "-C", tree],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    differences = told.stdout.replace(f"linux/{SAME}: Mod time differs\n", "")
    assert [line for line in differences.splitlines() if f"{SAME}:" not in line] == []
    assert (tree / SAME).read_text() == "int fork;\n"
    shared = [name for name in (SAME, CHANGED, ADDED, TOOL) if is_shared(tree, other, name)]
    assert shared == [SAME]
    assert (tree / ADDED).stat().st_mtime == 1_000_000_000
    assert os.access(tree / TOOL, os.X_OK)
    assert not os.access(other / TOOL, os.X_OK)
    assert not (tree / "mm/old.c").exists()


def test_a_patch_of_the_tree_leaves_the_other_one_alone(archive: Path, other: Path) -> None:
    """As the patches of a package, which patch(1) applies after unpacking."""
    tree = unpacked(archive, other)
    patch = f"--- a/{SAME}\n+++ b/{SAME}\n@@ -1 +1 @@\n-int fork;\n+int spoon;\n"
    subprocess.run(["patch", "-p1", "-s", "-d", tree], input=patch, text=True, check=True)
    assert sharing.same_files([SAME, TOOL, "none"], tree, other) == set()
    assert (tree / SAME).read_text() == "int spoon;\n"
    assert (other / SAME).read_text() == "int fork;\n"


def test_a_symbolic_link_in_the_other_tree_is_not_followed(archive: Path, other: Path) -> None:
    (other / SAME).rename(other / "elsewhere")
    (other / SAME).symlink_to(other / "elsewhere")
    tree = unpacked(archive, other)
    assert not (tree / SAME).is_symlink()
    assert (tree / SAME).stat().st_nlink == 1


@pytest.mark.parametrize("left", [0.3, 0.9])
def test_a_damaged_archive_is_refused(archive: Path, other: Path, left: float) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * left)])
    with pytest.raises(Refusal, match="source-damaged"):
        unpacked(archive, other)


def test_a_name_outside_the_tree_is_refused(tmp_path: Path, other: Path) -> None:
    (tmp_path / "linux").mkdir()
    (tmp_path / "evil").write_text("")
    packed = tmp_path / "linux.tar.xz"
    inside, name = tmp_path / "linux", "../linux/../../evil"
    command = ["tar", "-cJf", str(packed), "-P", "-C", str(inside), name]
    (tmp_path.parent / "evil").write_text("")
    subprocess.run(command, check=True)
    with pytest.raises(Refusal, match="source-damaged"):
        unpacked(packed, other)


def test_the_neighbour_is_of_the_same_series_and_the_one_made_last(tmp_path: Path) -> None:
    names = "6.1.0-50-amd64-a", "6.1.0-55-amd64-b", "6.12.1+deb12-amd64-c", "6.1.0-56-amd64-d"
    for age, name in enumerate(names):
        tree = tmp_path / name / "ready/tree"
        tree.mkdir(parents=True)
        if name != names[3]:  # this one is being made
            (tree / "Makefile").touch()
        os.utime(tree.parent, (age, age))
    assert sharing.neighbour(tmp_path / "6.1.0-57-amd64-e", "6.1.0-57-amd64") == (
        tmp_path / names[1] / "ready/tree"
    )
    assert sharing.neighbour(tmp_path / names[1], "6.1.0-55-amd64") == (
        tmp_path / names[0] / "ready/tree"
    )
    assert sharing.neighbour(tmp_path / "x", "6.13.1-amd64") is None


def test_a_neighbour_in_use_is_not_removed(tmp_path: Path) -> None:
    directory = tmp_path / "6.1.0-50-amd64-a"
    (directory / "ready/tree").mkdir(parents=True)
    (directory / "ready/tree/Makefile").touch()
    (directory / "lock").touch()

    def is_held() -> bool:
        with (directory / "lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as suture.workspace.disk
            except OSError:
                return True
        return False

    place = tmp_path / "6.1.0-55-amd64-b"
    with sharing.held_neighbour(place, "6.1.0-55-amd64") as first:
        with sharing.held_neighbour(tmp_path / "6.1.0-56-amd64-c", "6.1.0-56-amd64") as second:
            assert first == second == directory / "ready/tree"
        assert is_held()
    assert not is_held()
    with sharing.held_neighbour(place, "6.12.1-amd64") as other:
        assert other is None


def test_a_source_with_a_hole_is_refused(tmp_path: Path, other: Path) -> None:
    """tar(1) packs files with holes in a form of its own."""
    (tmp_path / "linux").mkdir()
    with (tmp_path / "linux/sparse").open("wb") as file:
        file.truncate(1 << 20)
    packed = tmp_path / "linux.tar.xz"
    subprocess.run(["tar", "-S", "-cJf", packed, "-C", tmp_path, "linux"], check=True)
    with pytest.raises(Refusal, match="source-damaged"):
        unpacked(packed, other)
