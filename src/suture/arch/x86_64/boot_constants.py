# SPDX-License-Identifier: GPL-2.0-or-later
"""Constants that the kernel writes into its own code at boot
(``arch/x86/include/asm/runtime-const.h``)."""

from __future__ import annotations

from suture.arch.sections import BootConstants, ReadingCode

NOP3 = bytes.fromhex("0f1f00")
REX_W, REX_B, REX_R = 0x48, 0x01, 0x04

_PREFIXES = {"runtime_ptr_": "ptr", "runtime_mask_": "mask", "runtime_shift_": "shift"}


def _reading(kind: str, code: bytes, place: int) -> ReadingCode | None:
    """Return code that reads the constant's variable, of the same length.

    - ``ptr``: ``movabs $0x0123456789abcdef,%rax`` becomes ``mov variable(%rip),%rax`` and a no-op.
    - ``mask``: ``and $0x12345678,%edx`` becomes ``and variable(%rip),%edx``.
    - ``shift``: ``shr $12,%eax`` has no room for a load.

    :param place: the offset of the constant in `code`.
    """
    if kind == "ptr" and place >= 2:
        rex, opcode = code[place - 2 : place]
        if rex & ~REX_B == REX_W and opcode & ~7 == 0xB8:
            load = bytes([rex & ~REX_B | (REX_R if rex & REX_B else 0), 0x8B, _modrm(opcode)])
            return ReadingCode(place - 2, load + bytes(4) + NOP3, place + 1)
    if kind == "mask" and place >= 2 and code[place - 2] == 0x81 and code[place - 1] & ~7 == 0xE0:
        register = code[place - 1]
        if place >= 3 and code[place - 3] == 0x40 | REX_B:
            load = bytes([0x40 | REX_R, 0x23, _modrm(register)])
            return ReadingCode(place - 3, load + bytes(4), place)
        return ReadingCode(place - 2, bytes([0x23, _modrm(register)]) + bytes(4), place)
    return None


def _modrm(register: int) -> int:
    """Return the ModRM byte of a register and an address relative to the next instruction."""
    return (register & 7) << 3 | 5


BOOT_CONSTANTS = BootConstants(_PREFIXES, _reading)
