# SPDX-License-Identifier: GPL-2.0-or-later
"""A source that was unpacked from the very same archive before."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.workspace import same_source, sharing, source

FILES = {"Makefile": "SUBLEVEL = 1\n", "mm/gup.c": "int gup;\n", "mm/a name\nof two lines.c": ""}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    top = tmp_path / "linux"
    for name, text in FILES.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    (top / "mm/gup.c").chmod(0o755)
    (top / "inc").symlink_to("mm")
    (top / "empty").mkdir()
    packed = tmp_path / "linux.tar.xz"
    subprocess.run(["tar", "-cJf", packed, "-C", tmp_path, "linux"], check=True)
    return packed


@pytest.fixture
def work(archive: Path) -> Path:
    """A workspace whose source was unpacked from the archive, and in which kbuild has worked."""
    work = archive.parent / "work"
    (work / "tree").mkdir(parents=True)
    source.unpack(archive, work / "tree")
    same_source.remember(archive, work / "tree", work)
    (work / "tree/mm/gup.o").write_text("made")
    (work / "tree/.config").write_text("CONFIG_MM=y\n")
    return work


def linked(archive: Path, work: Path) -> tuple[Path, set[str] | None]:
    tree = work.parent / "tree"
    tree.mkdir()
    return tree, same_source.link_all(archive, tree, work)


def test_all_that_was_delivered_is_linked_and_nothing_else(archive: Path, work: Path) -> None:
    tree, files = linked(archive, work)
    assert files == set(FILES)
    assert all((tree / name).samefile(work / "tree" / name) for name in FILES)
    assert (tree / "inc").readlink() == Path("mm")
    assert os.access(tree / "mm/gup.c", os.X_OK)
    found = {str(path.relative_to(tree)) for path in tree.rglob("*")}
    assert found == {*FILES, "mm", "inc", "empty"}


def test_another_archive_of_the_same_content_is_not_the_same(archive: Path, work: Path) -> None:
    """Only the same file is the same for certain, without reading it."""
    copy = archive.with_name("copy.tar.xz")
    copy.write_bytes(archive.read_bytes())
    tree, files = linked(copy, work)
    assert files is None
    assert list(tree.iterdir()) == []


def in_place(path: Path) -> None:
    path.write_text("int pug;\n")


def of_the_same_time(path: Path) -> None:
    old = path.stat().st_mtime_ns
    path.write_text("int gups;\n")
    os.utime(path, ns=(old, old))


def other_mode(path: Path) -> None:
    path.chmod(0o600)


def other_kind(path: Path) -> None:
    path.unlink()
    path.symlink_to("Makefile")


@pytest.mark.parametrize(
    "change", [in_place, of_the_same_time, other_mode, other_kind, Path.unlink]
)
def test_a_source_that_has_changed_is_not_taken(
    change: Callable[[Path], None], archive: Path, work: Path
) -> None:
    change(work / "tree/mm/gup.c")
    tree, files = linked(archive, work)
    assert files is None
    assert list(tree.iterdir()) == []


@pytest.mark.parametrize("name", [same_source.ARCHIVE, same_source.DELIVERED])
def test_a_workspace_without_notes_is_not_taken(name: str, archive: Path, work: Path) -> None:
    (work / name).unlink()
    assert linked(archive, work)[1] is None


def test_damaged_notes_are_not_believed(archive: Path, work: Path) -> None:
    (work / same_source.DELIVERED).write_text("81a4 what\0")
    tree, files = linked(archive, work)
    assert files is None
    assert list(tree.iterdir()) == []


def test_a_workspace_of_the_same_archive_is_the_neighbour(archive: Path, tmp_path: Path) -> None:
    for age, name in enumerate(("6.1.0-53-amd64-a", "6.1.0-50-amd64-b")):
        tree = tmp_path / "workspaces" / name / "ready/tree"
        tree.mkdir(parents=True)
        (tree / "Makefile").touch()
        os.utime(tree.parent, (age, age))
    first = tmp_path / "workspaces/6.1.0-53-amd64-a/ready"
    os.link(archive, first / same_source.ARCHIVE)
    os.utime(first, (0, 0))
    cloud = tmp_path / "workspaces/6.1.0-53-cloud-amd64-c"
    assert sharing.neighbour(cloud, "6.1.0-53-cloud-amd64", archive) == first / "tree"
    assert sharing.neighbour(cloud, "6.1.0-53-cloud-amd64") != first / "tree"
