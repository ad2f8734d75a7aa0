# SPDX-License-Identifier: GPL-2.0-or-later
"""Alternatives and paravirtual calls: code that an x86 kernel chooses by its processor and
hypervisor."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from suture.arch.live_code import LiveText, Rewrite, RewriteTable
from suture.arch.x86_64.live_instructions import CALL, NEAR, NOPS, moved, near
from suture.arch.x86_64.live_tables import word

DIRECT_CALL = 1 << 1
"""``ALT_FLAG_DIRECT_CALL`` (arch/x86/include/asm/alternative.h, since 6.8)"""

INDIRECT_CALL = b"\xff\x15"
"""``call *distance(%rip)``"""

PARAVIRT_SITE = struct.Struct("<QBB6x")
"""``struct paravirt_patch_site`` (arch/x86/include/asm/paravirt_types.h, until 6.7)"""


class AltInstr(NamedTuple):
    """``struct alt_instr``: code that the kernel puts in place of other code.

    :ivar feature: the feature of the processor that decides.
    :ivar is_inverse: the code is replaced if the feature is missing.
    :ivar is_call: the replacement calls what the pointer in the original call leads to.
    """

    start: int
    replacement: int
    feature: int
    is_inverse: bool
    is_call: bool
    size: int
    new_size: int


def alternatives(text: LiveText) -> tuple[list[int], RewriteTable]:
    """Return where alternatives begin, and the table of ``apply_alternatives()``.

    All entries for one place make one rewrite, in their order: the last one whose condition holds
    decides.
    """
    entries: defaultdict[int, list[AltInstr]] = defaultdict(list)
    for name, address, data in text.tables(".altinstructions"):
        if name == ".altinstructions":
            for entry in _entries(address, data, text.size_of("alt_instr")):
                entries[entry.start].append(entry)
    starts = sorted(entries)

    def make(index: int) -> Rewrite:
        here = entries[starts[index]]
        size = max(entry.size for entry in here)
        what = _Choice(text, here, size)
        return Rewrite(starts[index], size, "alternative", what.after)

    return starts, RewriteTable(starts, make)


def _entries(address: int, data: bytes, size: int) -> Iterator[AltInstr]:
    form = {
        12: struct.Struct("<iiHBB"),
        13: struct.Struct("<iiHBBB"),  # until 5.12, with the bytes of padding
        14: struct.Struct("<iiHHBB"),  # since 6.3
    }.get(size)
    if form is None:
        return
    for number, words in enumerate(form.iter_unpack(data[: len(data) // size * size])):
        place = address + number * size
        original, replacement, cpuid = words[:3]
        flags = words[3] if size == 14 else cpuid >> 15  # ALTINSTR_FLAG_INV
        feature = cpuid if size == 14 else cpuid & 0x7FFF
        sizes = words[4:6] if size == 14 else words[3:5]
        start, new = place + original, place + 4 + replacement
        is_call = size == 14 and bool(flags & DIRECT_CALL)
        yield AltInstr(start, new, feature, bool(flags & 1), is_call, *sizes)


class _Choice:
    """What the code of one alternative may become."""

    def __init__(self, text: LiveText, entries: Sequence[AltInstr], size: int) -> None:
        self._text = text
        self._entries = entries
        self._size = size

    def after(self, before: bytes, live: bytes) -> Iterator[bytes]:
        """Yield what the processor's features choose; all choices, if they are not known."""
        if any(self._text.has_feature(entry.feature) is None for entry in self._entries):
            yield before
            for entry in self._entries:
                yield from self._replaced(entry, before)
            return
        applied = [
            entry
            for entry in self._entries
            if self._text.has_feature(entry.feature) != entry.is_inverse
        ]
        if applied:
            yield from self._replaced(applied[-1], before)
        else:
            yield before

    def _replaced(self, entry: AltInstr, before: bytes) -> Iterator[bytes]:
        code = self._text.shipped(entry.replacement, entry.new_size)
        if entry.is_call:
            for target in _pointed_to(self._text, before, entry.start):
                yield self._padded(_call(self._text, entry.start, target))
        else:
            yield self._padded(moved(code, entry.replacement, entry.start))

    def _padded(self, code: bytes) -> bytes:
        return code.ljust(self._size, NOPS[1])


def _call(text: LiveText, address: int, target: int) -> bytes:
    """``alt_replace_call()``"""
    if target and target in (text.symbol("nop_func"), text.symbol("_paravirt_nop")):
        return b""
    if not target:
        target = text.symbol("BUG_func") or text.symbol("paravirt_BUG") or 0
    return near(CALL, address, target)


def _pointed_to(text: LiveText, code: bytes, address: int) -> list[int]:
    """Return where a ``call *distance(%rip)`` leads: by the pointer in memory and by the one in the
    image, since some are set after the code is written."""
    if not code.startswith(INDIRECT_CALL):
        return []
    distance = int.from_bytes(code[2:6], "little", signed=True)
    return _words(text, address + 6 + distance)


def _words(text: LiveText, place: int) -> list[int]:
    """Return the pointers at a place that are 0 or lead to the core kernel, as all of ``pv_ops``
    do."""
    found = dict.fromkeys([word(text.live(place, 8)), word(text.shipped(place, 8))])
    return [target for target in found if not target or text.names(target)]


def paravirt(text: LiveText) -> RewriteTable:
    """``apply_paravirt()``: a call through ``pv_ops`` calls the function itself, or becomes
    no-ops."""
    sites: dict[int, tuple[int, int]] = {}
    for name, _, data in text.tables(".parainstructions"):
        if name == ".parainstructions":
            whole = data.ljust(-(-len(data) // PARAVIRT_SITE.size) * PARAVIRT_SITE.size, b"\0")
            for address, kind, size in PARAVIRT_SITE.iter_unpack(whole):
                sites[address] = kind, size
    starts, operations = sorted(sites), text.symbol("pv_ops")

    def make(index: int) -> Rewrite:
        address = starts[index]
        kind, size = sites[address]

        def after(before: bytes, live: bytes) -> Iterator[bytes]:
            for target in _words(text, (operations or 0) + 8 * kind):
                yield _call(text, address, target).ljust(max(size, NEAR), NOPS[1])[:size]

        return Rewrite(address, size, "paravirtual call", after)

    return RewriteTable(starts, make)


def within(starts: Sequence[int], begin: int, end: int) -> range:
    """Return the indexes of the places that begin in a range."""
    return range(bisect_left(starts, begin), bisect_left(starts, end))
