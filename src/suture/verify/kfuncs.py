# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel functions that BPF programs call (kfuncs), of one shipped object.

The verifier checks a call of a kfunc by the kernel's own BTF, when the program is loaded.  Programs
that are loaded, and those that are loaded later, pass the arguments of the old prototype.

The functions are listed in sets in the section ``.BTF_ids``: ``BTF_SET8_START(nf_ct_kfunc_set)``
(net/netfilter/nf_conntrack_bpf.c; ``BTF_KFUNCS_START`` since 6.9).  A set is a ``struct
btf_id_set8``: its length, its flags, and for each function the number of its type and its flags
(include/linux/btf_ids.h).
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from itertools import product

from suture.elf.object import ObjectFile, Symbol
from suture.kernel.btf import FUNC, Btf
from suture.verify.shipped import Shipped

SETS = "__BTF_ID__set8__"
ENTRY = "__BTF_ID__func__"
"""The prefixes of the symbols of a set, and of a function in one."""


def listed_in(obj: ObjectFile, names: Collection[str]) -> bool:
    """Whether a set of an object file has a function of these names, as the one of
    net/ipv4/tcp_cubic.c has static functions.

    The macros define a symbol for each set, and one for each entry.
    """
    sets = [symbol for symbol in obj.symbols if symbol.name.startswith(SETS)]
    if not sets:
        return False
    prefixes = tuple(f"{ENTRY}{name}__" for name in names)
    entries = [symbol for symbol in obj.symbols if symbol.name.startswith(prefixes)]
    return any(_is_in(entry, one) for entry, one in product(entries, sets))


def _is_in(entry: Symbol, one: Symbol) -> bool:
    """Whether an entry is part of a set."""
    return entry.shndx == one.shndx and one.value <= entry.value < one.value + one.size


def kfuncs(shipped: Shipped, types: Btf) -> frozenset[str]:
    """Return the names of the object's kfuncs.

    :param types: its types, by whose numbers its sets list them.
    """
    found: set[str] = set()
    for name in [name for name in shipped.all_names() if name.startswith(SETS)]:
        for address in shipped.addresses(name):
            members = (types[one] for one in _members(shipped, address) if one < len(types))
            found.update(member.name for member in members if member.kind == FUNC)
    return frozenset(found)


def _members(shipped: Shipped, address: int) -> Iterator[int]:
    """Yield the numbers of the types in a set."""
    prefix = shipped.machine.prefix
    head = shipped.read(address, 8) or b""
    if len(head) == 8:
        count, _ = struct.unpack(f"{prefix}II", head)
        pairs = shipped.read(address + 8, 8 * count) or b""
        whole = pairs[: len(pairs) // 8 * 8]
        yield from (number for number, _ in struct.iter_unpack(f"{prefix}II", whole))
