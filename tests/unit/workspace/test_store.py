# SPDX-License-Identifier: GPL-2.0-or-later
"""The kept objects: what is damaged counts as absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.workspace import store
from suture.workspace.command import Compilation
from suture.workspace.store import Stored

ENTRY = Stored(
    Compilation("x.o", "x.c", (("gcc", "-c"), ("objtool",)), ("x.c", "h.h")), b"\x7fELF\n\0\xff\n"
)


def test_an_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    name = store.key(["a", b"b"])
    assert store.load(tmp_path, name) is None
    store.save(tmp_path, name, ENTRY)
    assert store.load(tmp_path, name) == ENTRY


def test_parts_of_a_key_do_not_run_together() -> None:
    assert store.key(["ab", "c"]) != store.key(["a", "bc"])


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "header"])
def test_a_damaged_entry_counts_as_absent(tmp_path: Path, damage: str) -> None:
    name = store.key(["a"])
    store.save(tmp_path, name, ENTRY)
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    data = path.read_bytes()
    flipped = data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]
    path.write_bytes({"cut": data[:-3], "flip": flipped, "empty": b"", "header": data[10:]}[damage])
    assert store.load(tmp_path, name) is None


def test_nothing_unfinished_is_left(tmp_path: Path) -> None:
    store.save(tmp_path, store.key(["a"]), ENTRY)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".part-")]
