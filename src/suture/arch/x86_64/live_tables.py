# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables by which an x86 kernel rewrites its code at boot and when a module is loaded
(``arch/x86/kernel/alternative.c: alternative_instructions()``, ``module.c: module_finalize()``)."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from suture.arch.live_code import LiveText, Rewrite, RewriteTable
from suture.arch.x86_64.boot_constants import BOOT_CONSTANTS
from suture.arch.x86_64.entry import ENDBR64
from suture.arch.x86_64.live_instructions import (
    CALL,
    INT3,
    ITS_THUNK,
    JUMP,
    NEAR,
    NOPS,
    REGISTERS,
    RET,
    moved,
    near,
    target_of,
)

LOCK, DS = b"\xf0", b"\x3e"
CS = b"\x2e"
LFENCE = bytes.fromhex("0faee8")

POISON = bytes.fromhex("660f1f00")
"""``arch/x86/include/asm/ibt.h: gen_endbr_poison()``"""

SIZES = {"ptr": 8, "mask": 4, "shift": 1}
"""``arch/x86/include/asm/runtime-const.h: __runtime_fixup_ptr()`` and the others."""

THUNK = "__x86_indirect_thunk_"
TRACKED = {CALL: "__x86_indirect_call_thunk_", JUMP: "__x86_indirect_jump_thunk_"}
"""Thunks that count calls (CONFIG_MITIGATION_CALL_DEPTH_TRACKING)."""

THUNK_TEMPLATE = "skl_call_thunk_template"

RETURN_THUNK = "__x86_return_thunk"


def retpolines(text: LiveText) -> RewriteTable:
    """``apply_retpolines()``: ``call __x86_indirect_thunk_rax`` stays, becomes ``call *%rax``, with
    an ``lfence`` before it, or calls another thunk."""
    return each(text, ".retpoline_sites", _retpoline)


def _retpoline(text: LiveText, address: int) -> Rewrite | None:
    code = text.shipped(address, NEAR + 1)
    size = NEAR if code[:1] in (CALL, JUMP) else NEAR + 1
    thunk = target_of(code, address)
    names = text.names(thunk) if thunk is not None else ()
    # The first one is __x86_indirect_thunk_array as well.
    found = [name for name in REGISTERS if THUNK + name in names]
    if not found:
        return None
    register = REGISTERS.index(found[0])

    def after(before: bytes, live: bytes) -> Iterator[bytes]:
        yield before
        prefix, opcode = before[: size - NEAR], before[size - NEAR : size - 4]
        for name in (ITS_THUNK, TRACKED.get(opcode, TRACKED[JUMP])):
            other = text.symbol(name + REGISTERS[register])
            if other is not None:
                yield prefix + near(opcode, address + len(prefix), other)
        for fence in (b"", LFENCE):
            yield _indirect(before, size, fence, register)

    return Rewrite(address, size, "retpoline", after)


def _indirect(before: bytes, size: int, fence: bytes, register: int) -> bytes:
    """Return ``call *%reg`` or ``jmp *%reg``, ``patch_retpoline()``; for a conditional jump, the
    opposite one over it."""
    is_call = CALL in before[: size - 4] and before[:1] != b"\x0f"
    condition = b""
    if before[:1] == b"\x0f":
        condition = bytes([0x70 | before[1] & 0xF ^ 1, size - 2])
    modrm = (0xD0 if is_call else 0xE0) | register & 7
    code = condition + fence + (b"\x41" if register >= 8 else b"") + bytes([0xFF, modrm])
    if not is_call and len(code) < size:
        code += INT3
    return code.ljust(size, NOPS[1])


def returns(text: LiveText) -> RewriteTable:
    """``apply_returns()``: ``jmp __x86_return_thunk`` becomes ``ret``, or jumps to the thunk that
    the processor needs, whose address is in ``x86_return_thunk``."""
    thunks = return_thunks(text)

    def make(text: LiveText, address: int) -> Rewrite | None:
        def after(before: bytes, live: bytes) -> Iterator[bytes]:
            if before[:1] == JUMP and target_of(before, address) in thunks:
                yield from (near(JUMP, address, thunk) for thunk in thunks)
                yield RET.ljust(NEAR, INT3)
            else:
                yield before

        return Rewrite(address, NEAR, "return thunk", after)

    return each(text, ".return_sites", make)


def return_thunks(text: LiveText) -> list[int]:
    """Return the thunk that code returns through before boot has chosen one, and the one that it
    has chosen, as ``srso_return_thunk``."""
    found = [text.symbol(RETURN_THUNK)]
    variable = text.symbol("x86_return_thunk")
    if variable is not None:
        chosen = word(text.live(variable, 8))
        is_thunk = any(name.endswith("return_thunk") for name in text.names(chosen))
        found.append(chosen if is_thunk else None)
    return [thunk for thunk in dict.fromkeys(found) if thunk]


def call_thunks(text: LiveText, places: Sequence[int]) -> RewriteTable:
    """``callthunks_setup()``: a call goes to the bytes before a function that count it.

    :param places: where alternatives begin; those that are calls then are treated alike.
    """
    size = thunk_size(text)
    if not size:
        return RewriteTable((), lambda _: None)
    starts = sorted({*relative(text, ".call_sites"), *places})

    def make(index: int) -> Rewrite:
        address = starts[index]

        def after(before: bytes, live: bytes) -> Iterator[bytes]:
            yield before
            target = target_of(before, address) if before[:1] == CALL else None
            if target is not None:
                yield near(CALL, address, target - size)

        return Rewrite(address, NEAR, "call thunk", after)

    return RewriteTable(starts, make)


def counting(text: LiveText, address: int) -> Rewrite | None:
    """``patch_dest()``: the room before a function may count its calls."""
    size, template = thunk_size(text), text.symbol(THUNK_TEMPLATE)
    room = text.shipped(address - size, size) if size else b""
    if template is None or not room or room.strip(NOPS[1]):
        return None

    def after(before: bytes, live: bytes) -> Iterator[bytes]:
        yield before
        yield moved(text.shipped(template, size), template, address - size)

    return Rewrite(address - size, size, "call thunk", after)


def thunk_size(text: LiveText) -> int:
    """Return the bytes of code before a function that count calls, ``SKL_TMPL_SIZE``; 0 without."""
    begin, end = text.symbol(THUNK_TEMPLATE), text.symbol("skl_call_thunk_tail")
    return end - begin if begin is not None and end is not None else 0


def sealed(text: LiveText) -> RewriteTable:
    """``apply_seal_endbr()``: a function that nobody calls by its address loses its ``endbr64``."""

    def make(text: LiveText, address: int) -> Rewrite | None:
        def after(before: bytes, live: bytes) -> Iterator[bytes]:
            yield before
            if before == ENDBR64:
                yield POISON

        return Rewrite(address, len(ENDBR64), "sealed endbr64", after)

    return each(text, ".ibt_endbr_seal", make)


def locks(text: LiveText) -> RewriteTable:
    """``alternatives_smp_unlock()``: one processor alone needs no ``lock`` prefix."""

    def make(text: LiveText, address: int) -> Rewrite | None:
        def after(before: bytes, live: bytes) -> Iterator[bytes]:
            yield before
            if before == LOCK:
                yield DS

        return Rewrite(address, len(LOCK), "lock prefix", after)

    return each(text, ".smp_locks", make)


def constants(text: LiveText) -> Iterator[RewriteTable]:
    """``runtime_const_init()``: the value of a variable, which the kernel does not change after
    boot, is written into the code."""
    for prefix, kind in BOOT_CONSTANTS.kinds.items():
        for name, address, data in text.tables(prefix):
            starts = sorted(_relative_to(address, data))
            yield RewriteTable(starts, _constant(text, name.removeprefix(prefix), kind, starts))


def _constant(
    text: LiveText, variable: str, kind: str, starts: Sequence[int]
) -> Callable[[int], Rewrite | None]:
    def make(index: int) -> Rewrite | None:
        place, size = text.symbol(variable), SIZES[kind]

        def after(before: bytes, live: bytes) -> Iterator[bytes]:
            if place is not None:
                yield text.live(place, 8)[:size]

        return Rewrite(starts[index], size, f"constant {variable}", after)

    return make


def each(
    text: LiveText, section: str, make: Callable[[LiveText, int], Rewrite | None]
) -> RewriteTable:
    """Return the table of a section that has one s32 for each place: its distance from there."""
    starts = relative(text, section)
    return RewriteTable(starts, lambda index: make(text, starts[index]))


def relative(text: LiveText, section: str) -> list[int]:
    """Return the places that a section of distances names, ascending."""
    found: list[int] = []
    for name, address, data in text.tables(section):
        if name == section:
            found += _relative_to(address, data)
    return sorted(found)


def _relative_to(address: int, data: bytes) -> Iterator[int]:
    entries = struct.iter_unpack("<i", data[: len(data) // 4 * 4])
    for number, (distance,) in enumerate(entries):
        if distance:  # alternatives_smp_lock(): "if (!*poff ...) continue"
            yield address + 4 * number + distance


def word(data: bytes) -> int:
    """Return the number in eight bytes; 0 where there are none."""
    return int.from_bytes(data[:8], "little")


def at(table: Sequence[int], address: int) -> int | None:
    """Return the index of an address in an ascending table, or None."""
    position = bisect_left(table, address)
    return position if position < len(table) and table[position] == address else None
