# SPDX-License-Identifier: GPL-2.0-or-later
"""`suture.arch.decoding.Decoding`, by iced-x86."""

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
"""Calls and jumps whose target stands in the instruction."""

PADDING = (Mnemonic.NOP, Mnemonic.INT3)
"""What assemblers put between functions (``.p2align``, and the kernel's own
``-falign-functions``)."""


class Fields:
    """`suture.arch.decoding.CodeFields`."""

    __slots__ = ("_code", "_decoded", "_starts")

    def __init__(self, code: bytes) -> None:
        self._code = code
        self._decoded: list[Decoded] = []
        self._starts: list[int] = []

    def at(self, offset: int) -> CodeField:
        if not self._starts:
            self._decoded = list(Decoder(BITS, self._code))
            self._starts = [one.ip for one in self._decoded]
        one = self._decoded[bisect_right(self._starts, offset) - 1]
        flow, end = one.flow_control, one.next_ip
        return CodeField(one.ip, end, end, flow in BRANCHES, flow == FlowControl.CALL)


fields = Fields


def instructions(code: bytes, address: int = 0) -> Iterator[Instruction]:
    return map(_instruction, Decoder(BITS, code, ip=address))


def branches(code: bytes, address: int = 0) -> Iterator[DirectBranch]:
    for one in Decoder(BITS, code, ip=address):
        if one.flow_control in BRANCHES and is_direct(one):
            size = 1 if one.is_jcc_short or one.is_jmp_short else 4
            end, target = one.next_ip, one.near_branch_target
            kind = PC8 if size == 1 else PC32
            yield DirectBranch(_instruction(one), target, end - size, kind, end)


def is_padding(code: bytes) -> bool:
    return not code.strip(b"\0") or all(one.mnemonic in PADDING for one in Decoder(BITS, code))


def text(code: bytes, address: int) -> str:
    return Formatter(FormatterSyntax.GAS).format(Decoder(BITS, code, ip=address).decode())


def is_relaxation(ours: bytes, theirs: bytes) -> bool:
    """The kernel has no global offset table, and no thread-local storage of ELF's."""
    return False


def is_direct(one: Decoded) -> bool:
    """A call or jump, short or near, whose target stands in it as a distance."""
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
