# SPDX-License-Identifier: GPL-2.0-or-later
"""`suture.arch.search.CodeSearch` for x86-64: a search for the bytes of fields with an address, and
decoding from the start of the function around each candidate."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Set

from iced_x86 import Code, Decoder, Instruction

from suture.arch.search import Lead, Link, absolute, relative
from suture.arch.x86_64.decoding import BITS, is_direct

LONGEST = 16
"""Bytes; an instruction has 15 at most."""

FIELD = 4
"""Bytes of a field with an address; a distance counts from its end, which is the instruction's."""

_DISTANCE = struct.Struct("<i")
_CALL_OR_JUMP = re.compile(rb"[\xe8\xe9](?=.{4})", re.DOTALL)
_LEA = re.compile(rb"[\x48\x4c]\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d](?=.{4})", re.DOTALL)
"""Opcodes before a distance: ``call`` and ``jmp``; ``lea`` of any 64-bit register (Intel SDM,
volume 2)."""


def leads(code: bytes, address: int, target: int, start: Callable[[int], int]) -> Iterator[Lead]:
    """Yield the references to `target` in a section of linked code.

    ``call c_start`` has it as a distance, ``mov $c_start,%rdi`` as an absolute address.
    """
    for field in relative(code, address, target, FIELD, "little"):
        one = _around(code, address, start(field), field)
        if one is None or _reads(one, field, target):
            yield Lead(field, is_branch=False)
        elif is_direct(one) and one.near_branch_target == target:
            yield Lead(field, is_branch=True)
    for field in absolute(code, address, target, FIELD, "little"):
        one = _around(code, address, start(field), field)
        if one is None or _holds(one, field):
            yield Lead(field, is_branch=False)


def suspects(code: bytes, address: int, target: int) -> Iterator[int]:
    """Yield the addresses of fields with the distance to `target`, whatever they are part of."""
    return relative(code, address, target, FIELD, "little")


def links(code: bytes, address: int, targets: Set[int]) -> Iterator[Link]:
    """Yield what has the form of ``call`` or ``jmp``, ``lea`` with a distance, or any instruction
    with a sign-extended absolute address, and leads to one of `targets`."""
    for pattern, is_branch in ((_CALL_OR_JUMP, True), (_LEA, False)):
        for found in pattern.finditer(code):
            field = found.end()
            target = address + field + FIELD + _DISTANCE.unpack_from(code, field)[0]
            if target in targets:
                yield Link(address + field, target, is_branch)
    for found in _addresses_of(targets).finditer(code):
        target = _DISTANCE.unpack_from(code, found.start())[0] % 2**64
        if target in targets:
            yield Link(address + found.start(), target, is_branch=False)


def _addresses_of(targets: Set[int]) -> re.Pattern[bytes]:
    """Return a pattern of fields whose lowest and highest byte are those of an address."""
    lowest = "".join(f"\\x{byte:02x}" for byte in sorted({target & 0xFF for target in targets}))
    highest = "".join(
        f"\\x{one:02x}" for one in sorted({target >> 24 & 0xFF for target in targets})
    )
    # Fields may overlap, so that a match is empty.
    return re.compile(f"(?=[{lowest}]..[{highest}])".encode(), re.DOTALL)


def _around(code: bytes, address: int, start: int, field: int) -> Instruction | None:
    """Return the instruction that contains the first byte of a field; None where the bytes may not
    be code."""
    data = code[start - address : field - address + LONGEST]
    for one in Decoder(BITS, data, ip=start):
        if one.code == Code.INVALID:
            return None
        if one.next_ip > field:
            return one
    return None


def _reads(one: Instruction, field: int, target: int) -> bool:
    """Whether an instruction uses the address relative to itself: ``lea``, or one that reads code
    as data."""
    return one.is_ip_rel_memory_operand and field > one.ip and one.ip_rel_memory_address == target


def _holds(one: Instruction, field: int) -> bool:
    """Whether the whole field is in the instruction, behind its first byte."""
    return one.ip < field and field + FIELD <= one.next_ip
