# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparison of two pieces of code, instruction by instruction.

The shipped kernel has a file's functions in one section, where the assembler shortens a jump to a
near neighbour to two bytes; compiled with a section per function, the same jump keeps its
relocation and takes five.  All later instructions are shifted, and further jumps may change their
length.  So two branches of the same kind are equal if their targets are, whatever their length;
all other instructions must be equal byte for byte.

Example: ``hci_power_off()`` (net/bluetooth/hci_core.c) ends with a jump to ``hci_dev_do_close()``.
In Debian's ``bluetooth.ko`` that function is near, and the jump takes two bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from suture.arch.decoding import Decoding, Instruction
from suture.arch.relocations import RelocationType


@dataclass(frozen=True, slots=True)
class Field:
    """The place in their code that corresponds to a relocated field of our code.

    :ivar offset: of the field in their code.
    :ivar branch_target: the address that their instruction branches to, if it is a branch.
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
    decoding: Decoding,
    ours: bytes,
    theirs: bytes,
    address: int,
    fields: Mapping[int, RelocationType],
) -> dict[int, Field] | Difference:
    """Compare two functions.

    :param theirs: enough bytes for the longest form of the code, linked at `address`.
    :param fields: our relocated fields, by offset.
    :return: the place of each of `fields` in `theirs`; or the first difference.
    """
    left = list(decoding.instructions(ours))
    right = list(decoding.instructions(theirs, address))[: len(left)]
    places = {a.start: b.start for a, b in zip(left, right, strict=False)}
    both = _CodePair(decoding, ours, theirs, address, places)
    found: dict[int, Field] = {}
    for a, b in zip(left, right, strict=False):
        inside = [offset for offset in fields if a.start <= offset < a.end]
        if not both.same_instruction(a, b, {offset: fields[offset] for offset in inside}):
            return Difference(
                a.start, _text(decoding, a, ours, 0), _text(decoding, b, theirs, address)
            )
        for offset in inside:
            found[offset] = Field(b.start - address + offset - a.start, b.target)
    if len(right) < len(left):
        first = left[len(right)]
        return Difference(first.start, _text(decoding, first, ours, 0), "the end")
    return found


def pair_at(
    decoding: Decoding, ours: bytes, theirs: bytes, address: int, offset: int
) -> tuple[str, str]:
    """Return, as text, the instruction at `offset` of our code and theirs in its place; for code in
    which `compare` found no difference."""
    both = zip(decoding.instructions(ours), decoding.instructions(theirs, address), strict=False)
    return next(
        (_text(decoding, a, ours, 0), _text(decoding, b, theirs, address))
        for a, b in both
        if offset < a.end
    )


@dataclass(frozen=True, slots=True)
class _CodePair:
    """Our code and theirs.

    :ivar places: offset of each of our instructions -> address of theirs.
    """

    decoding: Decoding
    ours: bytes
    theirs: bytes
    address: int
    places: Mapping[int, int]

    def same_instruction(
        self, a: Instruction, b: Instruction, fields: Mapping[int, RelocationType]
    ) -> bool:
        """Whether our instruction and theirs are the same.

        :param fields: the relocated fields of our instruction.
        """
        if a.target is not None and b.target is not None:
            if a.operation != b.operation:
                return False
            # `preimage` compares the target of a relocated field.
            return bool(fields) or self.places.get(a.target) == b.target
        left = bytearray(self.ours[a.start : a.end])
        right = bytearray(self.theirs[b.start - self.address : b.end - self.address])
        for offset, kind in fields.items():
            start = offset - a.start
            kind.blank(left, start)
            if len(right) >= start + kind.size:
                kind.blank(right, start)
        if left == right:
            return True
        return bool(fields) and self.decoding.is_relaxation(bytes(left), bytes(right))


def _text(decoding: Decoding, instruction: Instruction, code: bytes, address: int) -> str:
    start, end = instruction.start - address, instruction.end - address
    raw = code[start:end]
    return f"+{start:#x}: {raw.hex(' '):<30} {decoding.text(raw, instruction.start)}"
