# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare two pieces of code instruction by instruction.

The shipped kernel has a file's functions in one section, where the assembler shortens a jump to a
near neighbour to two bytes; compiled with a section per function, the same jump keeps its
relocation and takes five.  Everything after it is then shifted, and further jumps may change their
length.  So two branches of the same kind are equal when their targets are, whatever their length;
all other instructions must be equal byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iced_x86 import Decoder, Formatter, FormatterSyntax, Instruction

from suture.elf.relocations.x86_64 import is_direct_branch


@dataclass(frozen=True, slots=True)
class Field:
    """Where a relocated field of our code is in theirs.

    :ivar offset: of the field in their code.
    :ivar branch_target: the address that their instruction branches to, where it is a branch.
    """

    offset: int
    branch_target: int | None


@dataclass(frozen=True, slots=True)
class Difference:
    """The first instruction that differs: offset into our code, and both as text."""

    offset: int
    ours: str
    theirs: str


def compare(
    ours: bytes, theirs: bytes, address: int, fields: Mapping[int, int]
) -> dict[int, Field] | Difference:
    """Compare two functions.

    :param theirs: at least as many bytes as they can need, linked at `address`.
    :param fields: our relocated fields: offset -> size in bytes.
    :return: for each of `fields`, where it is in `theirs`; or the first difference.
    """
    left = list(Decoder(64, ours))
    right = list(Decoder(64, theirs, ip=address))[: len(left)]
    places = {a.ip: b.ip for a, b in zip(left, right, strict=False)}
    found: dict[int, Field] = {}
    for a, b in zip(left, right, strict=False):
        inside = [offset for offset in fields if a.ip <= offset < a.next_ip]
        if not _same(
            a, b, ours, theirs, address, {offset: fields[offset] for offset in inside}, places
        ):
            return Difference(a.ip, _text(a, ours, 0), _text(b, theirs, address))
        for offset in inside:
            target = b.near_branch_target if is_direct_branch(b) else None
            found[offset] = Field(b.ip - address + offset - a.ip, target)
    if len(right) < len(left):
        return Difference(left[len(right)].ip, _text(left[len(right)], ours, 0), "the end")
    return found


def pair_at(ours: bytes, theirs: bytes, address: int, offset: int) -> tuple[str, str]:
    """The instruction that holds `offset` of our code, and theirs in its place, where `compare`
    found no difference."""
    both = zip(Decoder(64, ours), Decoder(64, theirs, ip=address), strict=False)
    return next(
        (_text(a, ours, 0), _text(b, theirs, address)) for a, b in both if offset < a.next_ip
    )


def _same(
    a: Instruction,
    b: Instruction,
    ours: bytes,
    theirs: bytes,
    address: int,
    fields: Mapping[int, int],
    places: Mapping[int, int],
) -> bool:
    if is_direct_branch(a) and is_direct_branch(b):
        if a.mnemonic != b.mnemonic:
            return False
        # A field's target is compared by whoever resolves it.
        return bool(fields) or places.get(a.near_branch_target) == b.near_branch_target
    left, right = (
        bytearray(ours[a.ip : a.next_ip]),
        bytearray(theirs[b.ip - address : b.next_ip - address]),
    )
    for offset, size in fields.items():
        start = offset - a.ip
        left[start : start + size] = bytes(size)
        if len(right) >= start + size:
            right[start : start + size] = bytes(size)
    return left == right


def _text(instruction: Instruction, code: bytes, address: int) -> str:
    raw = code[instruction.ip - address : instruction.next_ip - address].hex(" ")
    return f"+{instruction.ip - address:#x}: {raw:<30} {Formatter(FormatterSyntax.GAS).format(instruction)}"
