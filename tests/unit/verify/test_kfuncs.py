# SPDX-License-Identifier: GPL-2.0-or-later
"""Sets of functions that BPF programs call, in a linked object."""

from __future__ import annotations

import struct

from suture.kernel.btf import FUNC, Btf
from suture.kernel.types import MAGIC
from suture.verify.kfuncs import kfuncs
from tests.unit.verify.kernel import shipped

SETS = """
int called(int x) { return x + 1; }
asm(".pushsection .BTF_ids, \\"a\\"; .balign 4;"
    "__BTF_ID__set8__one: .long 2, 0, 1, 3, 3, 0;"
    "__BTF_ID__func__other__7: .long 2;"
    "__BTF_ID__set8__damaged: .long 999999, 0, 70000, 0, 0; .popsection");
"""
"""``struct btf_id_set8``: its length, its flags, and number and flags of each function
(include/linux/btf_ids.h), with the numbers that resolve_btfids would write."""


def types(*functions: str) -> Btf:
    """Types with a ``BTF_KIND_FUNC`` for each name, of one ``BTF_KIND_FUNC_PROTO``."""
    strings, records = b"\0", b""
    for name in functions:
        prototype = len(functions) + 1
        records += struct.pack("<III", len(strings), FUNC << 24, prototype)
        strings += name.encode() + b"\0"
    records += struct.pack("<III", 0, 13 << 24, 0)
    sizes = (0, len(records), len(records), len(strings))
    return Btf(struct.pack("<HBBIIIII", MAGIC, 1, 0, 24, *sizes) + records + strings, "toy")


def test_the_functions_of_sets_are_found_by_their_types_and_no_others() -> None:
    assert kfuncs(shipped(SETS), types("called", "other", "third")) == {"called", "third"}


def test_a_kernel_without_sets_has_none() -> None:
    assert kfuncs(shipped("int called(int x) { return x; }"), types("called")) == frozenset()
