# SPDX-License-Identifier: GPL-2.0-or-later
"""The index of a tree's words, with grep(1) as the witness, and files that are not as it has them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from suture.workspace import words, words_child
from suture.workspace.words import WordIndex

FILES = {
    "include/linux/mm.h": b"#define FOLL_GET 0x04\n#define FOLL_PIN(x) \\\n\t(x | FOLL_GET)\n",
    "mm/gup.c": b"#include <linux/mm.h>\nint gup(void) { return FOLL_PIN(1) + 0x40UL; }\n",
    "mm/Makefile": b"obj-y += gup.o\n",
    "mm/Kconfig": b"config GUP\n",
    "mm/gup.o": b"\177ELF FOLL_GET",
    "arch/x86/mm/fault.c": b"int fault; /* FOLL_GET */\n",
    "arch/arm/mm/fault.c": b"int fault_of_arm;\n",
    "Documentation/mm.rst": b"FOLL_GET\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        write(tmp_path / "tree" / name, content)
    return tmp_path / "tree"


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def indexed(tree: Path) -> WordIndex:
    words_child.make(tree, "x86", tree.with_name("words"))
    return opened(tree)


def opened(tree: Path) -> WordIndex:
    return WordIndex(tree, "x86", opened_at(tree))


def opened_at(tree: Path) -> Path:
    return tree.with_name("words")


def found_by_grep(tree: Path, word: str) -> set[str]:
    command = [
        "grep",
        "-rIwl",
        word,
        "--include=*.[chS]",
        "--include=Makefile",
        "--exclude-dir=arm",
        ".",
    ]
    found = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False).stdout
    return {line.removeprefix("./") for line in found.splitlines()}


@pytest.mark.parametrize(
    "word", ["FOLL_GET", "FOLL_PIN", "gup", "obj", "fault", "fault_of_arm", "x", "none"]
)
def test_files_with_a_word(word: str, tree: Path) -> None:
    assert indexed(tree).files_with(word.encode()) == found_by_grep(tree, word)


def test_numbers_count_as_there(tree: Path) -> None:
    asked = frozenset({b"FOLL_GET", b"0x40UL", b"1234", b"12_of_these", b"none"})
    assert indexed(tree).known(asked) == {b"FOLL_GET", b"0x40UL", b"1234"}


def test_what_came_or_changed_later_is_read(tree: Path) -> None:
    indexed(tree)
    write(tree / "include/generated/bounds.h", b"#define NR_BOUNDS FOLL_NEW\n")
    write(tree / "mm/gup.c", b"int nothing;\n")
    (tree / "arch/x86/mm/fault.c").unlink()
    index = opened(tree)
    assert index.files_with(b"FOLL_NEW") == {"include/generated/bounds.h"}
    assert index.files_with(b"gup") == {"mm/Makefile"}
    assert index.files_with(b"fault") == frozenset()
    assert index.files_with(b"FOLL_GET") == {"include/linux/mm.h"}


def test_a_file_that_is_written_in_place_is_read(tree: Path) -> None:
    indexed(tree)
    path = tree / "mm/gup.c"
    content = path.read_bytes().replace(b"int gup", b"int pug")
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    assert opened(tree).files_with(b"pug") == {"mm/gup.c"}


@pytest.mark.parametrize("damage", ["cut", "format", "missing", "empty", "bytes"])
def test_a_damaged_index_is_made_again(damage: str, tree: Path) -> None:
    indexed(tree)
    (part,) = tree.with_name("words").iterdir()
    content = part.read_bytes()
    if damage == "missing":
        part.unlink()
        part.parent.rmdir()
    else:
        changed = {
            "cut": content[:-1],
            "format": content.replace(words.FORMAT, b"suture words 0\n"),
            "empty": b"",
            "bytes": content[:30] + b"xxxx" + content[34:],
        }
        part.write_bytes(changed[damage])
    with pytest.raises((OSError, ValueError)):
        opened(tree)
    assert indexed(tree).files_with(b"gup") == {"mm/gup.c", "mm/Makefile"}


def test_parts_of_several_files(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "PART_SIZE", 20)
    index = indexed(tree)
    assert len(list(tree.with_name("words").iterdir())) > 2
    assert index.files_with(b"FOLL_GET") == found_by_grep(tree, "FOLL_GET")


def test_a_tree_that_goes_leaves_no_index(tree: Path) -> None:
    listed = [*words.files(tree, "x86"), ("mm/gone.c", (1, 1))]
    with pytest.raises(OSError, match=r"gone\.c"):
        words.part_contents(tree, listed)


def beside(
    tree: Path, names: Iterable[str] = FILES, gup: bytes = b"int pug(void) { return FOLL_NEW; }\n"
) -> WordIndex:
    """The index of a tree that shares files of these names with the one that was there, made beside
    that one's index; ``mm/gup.c`` is another file."""
    workspace = moved(tree)
    words_child.make(workspace / "ready/tree", "x86", words.place(workspace))
    old = link_files(tree, workspace, names)
    write(tree / "mm/gup.c", gup)
    os.utime(tree / "mm/gup.c", ns=(old, old))
    words_child.make(tree, "x86", tree.with_name("words"), workspace)
    return opened(tree)


def moved(tree: Path) -> Path:
    """Make the tree, with its index where it has one, that of a workspace."""
    workspace = tree.parent / f"workspace-{len(list(tree.parent.iterdir()))}"
    for path, place in (
        (tree, workspace / "ready/tree"),
        (opened_at(tree), words.place(workspace)),
    ):
        if path.exists():
            place.parent.mkdir(parents=True)
            path.rename(place)
    return workspace


def link_files(tree: Path, workspace: Path, names: Iterable[str]) -> int:
    """Share files of a workspace but ``mm/gup.c``, and return how old that is."""
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        if name != "mm/gup.c":
            os.link(workspace / "ready/tree" / name, tree / name)
    return (workspace / "ready/tree/mm/gup.c").stat().st_mtime_ns


def parts_of_both(tree: Path) -> int:
    return sum(part.stat().st_nlink > 1 for part in tree.with_name("words").iterdir())


@pytest.mark.parametrize("size", [20, 1 << 20])
@pytest.mark.parametrize("shared", [FILES, [*FILES][:1], []])
def test_an_index_beside_another_is_that_of_its_tree(
    size: int, shared: Iterable[str], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "PART_SIZE", size)
    index = beside(tree, shared)
    for word in ("FOLL_GET", "FOLL_PIN", "gup", "pug", "FOLL_NEW", "obj", "fault", "none"):
        assert index.files_with(word.encode()) == found_by_grep(tree, word), word
    if shared in ([], FILES):  # else a part may have too little in common
        assert bool(parts_of_both(tree)) == bool(shared)
    assert index.known(frozenset({b"gup", b"pug"})) >= {b"pug"}


def test_a_word_of_the_other_tree_alone_is_not_known(tree: Path) -> None:
    index = beside(tree, [name for name in FILES if name != "mm/Makefile"])
    assert parts_of_both(tree) == 1
    assert index.known(frozenset({b"gup", b"FOLL_PIN"})) == {b"FOLL_PIN"}


def test_a_file_that_only_looks_as_the_others_is_read(tree: Path) -> None:
    """Of the same size and time, but another one on disk."""
    index = beside(tree, gup=FILES["mm/gup.c"].replace(b"gup(", b"pug("))
    assert index.files_with(b"pug") == {"mm/gup.c"}
    assert index.files_with(b"gup") == {"mm/Makefile"}
    assert parts_of_both(tree) == 1


def test_the_index_of_a_third_tree_may_use_all_parts(tree: Path) -> None:
    index = beside(tree)
    second = moved(tree)
    link_files(tree, second, FILES)
    os.link(second / "ready/tree/mm/gup.c", tree / "mm/gup.c")
    words_child.make(tree, "x86", opened_at(tree), second)
    assert opened(tree).files_with(b"pug") == index.files_with(b"pug") == {"mm/gup.c"}
    assert opened(tree).files_with(b"gup") == {"mm/Makefile"}
    assert parts_of_both(tree) == 2


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_an_index_beside_a_damaged_one_is_made_whole(damage: str, tree: Path) -> None:
    workspace = tree.parent / "first"
    if damage == "cut":
        write(words.place(workspace) / "000", words.FORMAT)
    words_child.make(tree, "x86", tree.with_name("words"), workspace)
    assert opened(tree).files_with(b"gup") == {"mm/gup.c", "mm/Makefile"}
