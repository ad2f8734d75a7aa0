# SPDX-License-Identifier: GPL-2.0-or-later
"""An architecture that no processor has, in one file: big-endian, with fields that hold half of a
distance and count from the start of their instruction.

Instructions have 2 bytes, or 6 where the first byte is 0xc0 or 0xc4; those have 4 bytes of distance at
their end.
"""

from __future__ import annotations

from collections.abc import Iterator

from suture import arch
from suture.arch.decoding import CodeField, DirectBranch, Flow, Instruction
from suture.arch.relocations import RelocationType, RelocationTypes

NOP, RETURN = b"\x07\x00", b"\x07\xfe"
CALL, JUMP, LOAD_ADDRESS = b"\xc0\x05", b"\xc0\x04", b"\xc0\x00"
LOAD_INDIRECT = b"\xc4\x08"
"""By way of a table, which the linker saves where it knows the address."""
FLOWS = {CALL: Flow.CALL, JUMP: Flow.JUMP, RETURN: Flow.RETURN}
ADDRESS, RELATIVE, HALVED = 1, 2, 3


class Fields:
    def __init__(self, code: bytes) -> None:
        self._code = code

    def at(self, offset: int) -> CodeField:
        one = next(one for one in Decoding().instructions(self._code) if offset < one.end)
        is_branch = one.flow in (Flow.CALL, Flow.JUMP)
        return CodeField(one.start, one.end, one.start, is_branch, one.flow is Flow.CALL)


class Decoding:
    def instructions(self, code: bytes, address: int = 0) -> Iterator[Instruction]:
        at = 0
        while at < len(code):
            size = 6 if code[at] in (0xC0, 0xC4) else 2
            operation = code[at : at + 2]
            flow, target = FLOWS.get(operation, Flow.NEXT), None
            if flow in (Flow.CALL, Flow.JUMP):
                distance = int.from_bytes(code[at + 2 : at + size], "big", signed=True)
                target = address + at + 2 * distance
            end = address + at + size
            yield Instruction(address + at, end, flow, target, int.from_bytes(operation, "big"))
            at += size

    def branches(self, code: bytes, address: int = 0) -> Iterator[DirectBranch]:
        for one in self.instructions(code, address):
            if one.target is not None:
                yield DirectBranch(one, one.target, one.start + 2, HALVED, one.start)

    def fields(self, code: bytes) -> Fields:
        return Fields(code)

    def is_padding(self, code: bytes) -> bool:
        return not code.replace(NOP, b"")

    def is_no_op(self, instruction: bytes) -> bool:
        return instruction == NOP

    def text(self, code: bytes, address: int) -> str:
        return code.hex()

    def is_relaxation(self, ours: bytes, theirs: bytes) -> bool:
        return (ours[:2], theirs[:2]) == (LOAD_INDIRECT, LOAD_ADDRESS) and ours[2:] == theirs[2:]


class Toy(arch.Architecture):
    name = source = "toy"
    machine = arch.ElfMachine(0xFEED, "big")
    relocations = RelocationTypes(
        {
            ADDRESS: RelocationType("R_TOY_64", 8, False, False),
            RELATIVE: RelocationType("R_TOY_PC32", 4, True, True),
            HALVED: RelocationType("R_TOY_PC32DBL", 4, True, True, shift=1),
        },
        address=ADDRESS,
        relative=RELATIVE,
    )
    decoding = Decoding()


arch.register(Toy())
