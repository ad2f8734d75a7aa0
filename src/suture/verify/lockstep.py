# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparison of two pieces of code, instruction by instruction.

The shipped kernel has a file's functions in one section, where the assembler shortens a jump to a
near neighbour to two bytes; compiled with a section per function, the same jump keeps its
relocation and takes five.  All later instructions are shifted, and further jumps may change their
length.  So two branches of the same kind are equal if their targets are, whatever their length;
all other instructions must be equal byte for byte.

Example: ``hci_power_off()`` (net/bluetooth/hci_core.c) ends with a jump to ``hci_dev_do_close()``.
In Debian's ``bluetooth.ko`` that function is near, and the jump takes two bytes.

GCC 14 aligns short loops, whatever ``-falign-loops`` says, and how many no-ops that takes depends
on where the function stands.  So no-ops that end at an aligned place on both sides are equal.

Example: a loop of ``proc_pid_status()`` (fs/proc/array.c) is aligned to 64 bytes.  The function
begins at a multiple of 64 in Debian's 6.12.118, with three bytes of no-ops before the loop; in a
section of its own it begins 16 bytes behind one, and 51 bytes are needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from suture.arch.decoding import Decoding, Instruction
from suture.arch.relocations import RelocationType

ALIGNED, WIDEST = 16, 64
"""Bytes: the alignment of functions, below which all code is aligned alike, and the widest one
within a function, a cache line."""


@dataclass(frozen=True, slots=True)
class Field:
    """The place in their code that corresponds to a relocated field of our code.

    :ivar offset: of the field in their code.
    :ivar branch_target: the address that their instruction branches to, if it is a branch.
    """

    offset: int
    branch_target: int | None


@dataclass(frozen=True, slots=True)
class Correspondence:
    """Code without a difference.

    :ivar fields: the places of our relocated fields, by offset.
    :ivar offsets: of each of our instructions -> of theirs.
    """

    fields: Mapping[int, Field]
    offsets: Mapping[int, int]


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
    *,
    start: int = 0,
) -> Correspondence | Difference:
    """Compare two functions.

    :param theirs: enough bytes for the longest form of the code, linked at `address`.
    :param fields: our relocated fields, by offset.
    :param start: the offset of our function in its section.
    :return: the places of all that is in ours; or the first difference.
    """
    pairs = list(_pairs(decoding, ours, theirs, address, start))
    places = {a.start: b.start for a, b in pairs if b is not None}
    both = _CodePair(decoding, ours, theirs, address, places)
    found: dict[int, Field] = {}
    for a, b in pairs:
        if b is None:
            return Difference(a.start, _text(decoding, a, ours, 0), "the end")
        inside = [offset for offset in fields if a.start <= offset < a.end]
        if not both.same_instruction(a, b, {offset: fields[offset] for offset in inside}):
            return Difference(
                a.start, _text(decoding, a, ours, 0), _text(decoding, b, theirs, address)
            )
        for offset in inside:
            found[offset] = Field(b.start - address + offset - a.start, b.target)
    return Correspondence(found, {ours: place - address for ours, place in places.items()})


def pair_at(
    decoding: Decoding, ours: bytes, theirs: bytes, address: int, offset: int, *, start: int = 0
) -> tuple[str, str]:
    """Return, as text, the instruction at `offset` of our code and theirs in its place; for code in
    which `compare` found no difference."""
    return next(
        (_text(decoding, a, ours, 0), _text(decoding, b, theirs, address))
        for a, b in _pairs(decoding, ours, theirs, address, start)
        if offset < a.end and b is not None
    )


def _pairs(
    decoding: Decoding, ours: bytes, theirs: bytes, address: int, start: int
) -> Iterator[tuple[Instruction, Instruction | None]]:
    """Yield our instructions, each with theirs in its place, None from their end on; without
    no-ops that align what follows."""
    left, right = (
        _Code(decoding, ours, 0, start, list(decoding.instructions(ours))),
        _Code(decoding, theirs, address, address, list(decoding.instructions(theirs, address))),
    )
    i = j = 0
    while i < len(left.instructions):
        if j < len(right.instructions) and left.bytes_of(i) != right.bytes_of(j):
            behind, there = left.behind_no_ops(i), right.behind_no_ops(j)
            if left.is_aligned(i, behind) and right.is_aligned(j, there):
                i, j = behind, there
        yield (
            left.instructions[i],
            right.instructions[j] if j < len(right.instructions) else None,
        )
        i, j = i + 1, j + 1


@dataclass(frozen=True, slots=True)
class _Code:
    """Decoded code.

    :ivar address: for which it is decoded; `place`: where it stands, for its alignment.
    """

    decoding: Decoding
    code: bytes
    address: int
    place: int
    instructions: Sequence[Instruction]

    def bytes_of(self, number: int) -> bytes:
        """Return the bytes of an instruction."""
        one = self.instructions[number]
        return self.code[one.start - self.address : one.end - self.address]

    def behind_no_ops(self, number: int) -> int:
        """Return the number of the first instruction from `number` on that is not a no-op."""
        while number < len(self.instructions) and self.decoding.is_no_op(self.bytes_of(number)):
            number += 1
        return number

    def is_aligned(self, first: int, behind: int) -> bool:
        """Whether the instructions from `first` up to `behind`, all no-ops, may align that one."""
        if behind == len(self.instructions):
            return False
        here, there = self.instructions[first].start, self.instructions[behind].start
        return there - here < WIDEST and (there - self.address + self.place) % ALIGNED == 0


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
