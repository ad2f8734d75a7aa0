# SPDX-License-Identifier: GPL-2.0-or-later
"""The index of a tree's words, with grep(1) as the witness, and files that are not as it has them."""

from __future__ import annotations

import os
import subprocess
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
    return WordIndex(tree, "x86", tree.with_name("words"))


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
