# SPDX-License-Identifier: GPL-2.0-or-later
"""Symbols that SUSE's fixes look up when they are loaded, looked at when they are built."""

from __future__ import annotations

import pytest

from suture.elf import reader
from suture.errors import Refusal
from suture.link.author_checks import refuse_unresolvable
from suture.verify.shipped import Shipped, ShippedModule
from tests.unit.toolchain import MACHINE, compile_c

STRUCT = "struct reloc { const char *symname; void **addr; const char *objname; unsigned long sympos; };\n"
TABLE = 'void *klpe; struct reloc klp_funcs[] = {{ {{ "uts_sem", &klpe }}, {0} }};\n'


def shipped(objname: str) -> Shipped:
    names = {"vmlinux": {"uts_sem": [1], "c_next": [2, 3]}, "xfs": {"xfs_log": [4]}}[objname]
    return ShippedModule(objname, (), (), names, names, {}, machine=MACHINE)


def look(entry: str) -> list[str]:
    """Look at a table with one more entry; returns the objects that were searched."""
    obj = reader.read(compile_c(STRUCT + TABLE.format(entry), sections=False), "fix.c")
    searched: list[str] = []

    def search(objname: str) -> Shipped:
        searched.append(objname)
        return shipped(objname)

    refuse_unresolvable({"fix.c": obj}, search, lambda name: f"fix.c: {name}")
    return searched


def test_what_is_there_once_passes() -> None:
    assert set(look('{ "xfs_log", &klpe, "xfs" }')) == {"vmlinux", "xfs"}
    assert set(look('{ "xfs_log", &klpe, "xfs", 1 }')) == {"vmlinux", "xfs"}


def test_one_of_several_passes_where_it_is_said_which() -> None:
    assert set(look('{ "c_next", &klpe, 0, 1 }, { "c_next", &klpe, 0, 2 }')) == {"vmlinux"}


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ('{ "uts_sen", &klpe }', "symbol-not-found"),
        ('{ "uts_sem", &klpe, "xfs" }', "symbol-not-found"),
        ('{ "c_next", &klpe }', "symbol-ambiguous"),
        ('{ "c_next", &klpe, 0, 3 }', "symbol-not-found"),
        ('{ "uts_sem", &klpe, 0, 2 }', "symbol-not-found"),
    ],
)
def test_what_would_not_be_found_is_refused(entry: str, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        look(entry)
    assert caught.value.code == code
