# SPDX-License-Identifier: GPL-2.0-or-later
"""`suture.arch.decoding.Decoding` for x86-64, with iced-x86."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping

from iced_x86 import Decoder, FlowControl, Formatter, FormatterSyntax, Mnemonic
from iced_x86 import Instruction as Decoded

from suture.arch.decoding import CodeField, DirectBranch, Flow, Instruction
from suture.arch.x86_64.relocations import PC8, PC32

BITS = 64

FLOWS: Mapping[int, Flow] = {
    FlowControl.NEXT: Flow.NEXT,
    FlowControl.UNCONDITIONAL_BRANCH: Flow.JUMP,
    FlowControl.CONDITIONAL_BRANCH: Flow.CONDITIONAL_JUMP,
    FlowControl.INDIRECT_BRANCH: Flow.INDIRECT_JUMP,
    FlowControl.CALL: Flow.CALL,
    FlowControl.INDIRECT_CALL: Flow.INDIRECT_CALL,
    FlowControl.RETURN: Flow.RETURN,
    FlowControl.EXCEPTION: Flow.TRAP,
}
BRANCHES = (FlowControl.CALL, FlowControl.UNCONDITIONAL_BRANCH, FlowControl.CONDITIONAL_BRANCH)
"""Calls and jumps that may contain their target."""

PADDING = (Mnemonic.NOP, Mnemonic.INT3)
"""Instructions between functions (``.p2align``, and the kernel's own ``-falign-functions``)."""


class Fields:
    """The `suture.arch.decoding.CodeFields` of x86-64."""

    __slots__ = ("_code", "_decoded", "_starts")

    def __init__(self, code: bytes) -> None:
        self._code = code
        self._decoded: list[Decoded] = []
        self._starts: list[int] = []

    def at(self, offset: int) -> CodeField:
        """Return the instruction that contains the byte at `offset`."""
        if not self._starts:
            self._decoded = list(Decoder(BITS, self._code))
            self._starts = [one.ip for one in self._decoded]
        one = self._decoded[bisect_right(self._starts, offset) - 1]
        flow, end = one.flow_control, one.next_ip
        return CodeField(one.ip, end, end, flow in BRANCHES, flow == FlowControl.CALL)


fields = Fields


def instructions(code: bytes, address: int = 0) -> Iterator[Instruction]:
    """Yield all instructions, in order."""
    return map(_instruction, Decoder(BITS, code, ip=address))


def branches(code: bytes, address: int = 0) -> Iterator[DirectBranch]:
    """Yield the calls and jumps that contain their targets, in order."""
    for one in Decoder(BITS, code, ip=address):
        if one.flow_control in BRANCHES and is_direct(one):
            size = 1 if one.is_jcc_short or one.is_jmp_short else 4
            end, target = one.next_ip, one.near_branch_target
            kind = PC8 if size == 1 else PC32
            yield DirectBranch(_instruction(one), target, end - size, kind, end)


def is_padding(code: bytes) -> bool:
    """Whether code is only zeros, or no-ops and ``int3``."""
    return not code.strip(b"\0") or all(one.mnemonic in PADDING for one in Decoder(BITS, code))


def is_no_op(instruction: bytes) -> bool:
    """Whether an instruction is a no-op, of whatever length."""
    return Decoder(BITS, instruction).decode().mnemonic == Mnemonic.NOP


def text(code: bytes, address: int) -> str:
    """Return an instruction in the GNU assembler's spelling."""
    return Formatter(FormatterSyntax.GAS).format(Decoder(BITS, code, ip=address).decode())


def is_relaxation(ours: bytes, theirs: bytes) -> bool:
    """Whether the linker may rewrite one instruction as another: never, since the kernel has no
    global offset table and none of ELF's thread-local storage."""
    return False


def is_direct(one: Decoded) -> bool:
    """Whether an instruction is a call or jump, short or near, that contains its target as a
    distance."""
    return one.flow_control in BRANCHES and (
        one.is_jcc_short_or_near or one.is_jmp_short_or_near or one.is_call_near
    )


def _instruction(one: Decoded) -> Instruction:
    return Instruction(
        one.ip,
        one.next_ip,
        FLOWS.get(one.flow_control, Flow.OTHER),
        one.near_branch_target if is_direct(one) else None,
        one.mnemonic,
    )
