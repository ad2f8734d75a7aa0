# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of an address in registers, instruction by instruction."""

from __future__ import annotations

from collections.abc import Iterator

from iced_x86 import (
    Decoder,
    Instruction,
    InstructionInfo,
    InstructionInfoFactory,
    Mnemonic,
    OpAccess,
    OpKind,
    Register,
)
from iced_x86 import RegisterExt as Registers

from suture.arch.decoding import Flow
from suture.arch.effects import AddressStep, CallConvention
from suture.arch.x86_64.arguments import ARGUMENTS, SAVED
from suture.arch.x86_64.decoding import BITS, FLOWS, is_direct

CONVENTION = CallConvention(
    ARGUMENTS,
    frozenset(SAVED),
    Register.RAX,
    transparent=("__fentry__",),  # arch/x86/kernel/ftrace_64.S
    return_thunk="__x86_return_thunk",  # arch/x86/lib/retpoline.S
    pointer_thunks="__x86_indirect_thunk_",
)

LONGEST = 15
"""Bytes of the longest instruction (Intel SDM, volume 2, 2.3.11)."""

_READS = frozenset(
    {OpAccess.READ, OpAccess.COND_READ, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE}
)
_WRITES = frozenset(
    {OpAccess.WRITE, OpAccess.COND_WRITE, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE}
)
_STRINGS = {
    OpKind.MEMORY_SEG_RSI: Register.RSI,
    OpKind.MEMORY_ESRDI: Register.RDI,
}
"""The operands of string instructions, such as the ``rep movsq`` that copies a structure."""

_CLEARS = (Mnemonic.XOR, Mnemonic.SUB)
_CALLS = (Flow.CALL, Flow.INDIRECT_CALL)


def address_step(
    code: bytes, at: int, registers: frozenset[int], field: int | None, loads: bool
) -> AddressStep:
    """Follow an address over one instruction (`suture.arch.effects.Effects.address_step`)."""
    decoder = Decoder(BITS, code[at : at + LONGEST], ip=at)
    one = decoder.decode()
    used = InstructionInfoFactory().info(one)
    flow = FLOWS.get(one.flow_control, Flow.OTHER)
    held = _Holding(one, used, registers, *_uses(decoder, one, field))
    moves = held.moves(loads)
    stored = spilled = False
    if moves and flow not in _CALLS:  # a call pushes its return address
        written = [memory.base for memory in used.used_memory() if memory.access in _WRITES]
        spilled = Register.RSP in written
        stored = any(base != Register.RSP for base in written)
    target = one.near_branch_target if is_direct(one) else None
    return AddressStep(one.next_ip, flow, target, held.after(moves), stored, spilled)


def _uses(decoder: Decoder, one: Instruction, field: int | None) -> tuple[bool, bool]:
    """Whether a field is an immediate operand of an instruction, or part of a memory operand."""
    if field is None:
        return False, False
    constants = decoder.get_constant_offsets(one)
    is_place = constants.has_displacement and one.ip + constants.displacement_offset == field
    return not is_place, is_place


class _Holding:
    """An instruction and the registers that hold the address before it.

    :ivar is_value: the instruction contains the address as a number; `is_place`: as the address of
        memory that it accesses.
    """

    def __init__(
        self,
        one: Instruction,
        used: InstructionInfo,
        registers: frozenset[int],
        is_value: bool,
        is_place: bool,
    ) -> None:
        self._one = one
        self._used = used
        self._registers = registers
        self._is_value = is_value
        self._is_place = is_place

    def moves(self, loads: bool) -> bool:
        """Whether the instruction computes with the address, or with what is loaded from it.

        ``lea 8(%rdi),%rsi`` and ``mov %rdi,(%rbx)`` do; ``mov (%rdi),%eax`` only with `loads`.
        """
        one = self._one
        # "xor %edi,%edi" makes zero of whatever there was.
        kinds = (one.op0_kind, one.op1_kind) == (OpKind.REGISTER, OpKind.REGISTER)
        if kinds and one.mnemonic in _CLEARS and one.op0_register == one.op1_register:
            return False
        return self._is_value or any(self._operands(loads))

    def _operands(self, loads: bool) -> Iterator[bool]:
        one = self._one
        for number in range(one.op_count):
            kind, access = one.op_kind(number), self._used.op_access(number)
            if kind == OpKind.REGISTER:
                register = Registers.full_register(one.op_register(number))
                yield access in _READS and register in self._registers
            elif kind == OpKind.MEMORY and access == OpAccess.NO_MEM_ACCESS:  # lea
                yield self._is_memory_there()
            elif kind == OpKind.MEMORY:
                yield loads and access in _READS and self._is_memory_there()
            elif kind in _STRINGS:
                yield loads and access in _READS and _STRINGS[kind] in self._registers

    def _is_memory_there(self) -> bool:
        """Whether the memory operand is at the address, or at a distance from it."""
        parts = (self._one.memory_base, self._one.memory_index)
        return self._is_place or any(
            Registers.full_register(part) in self._registers
            for part in parts
            if part != Register.NONE
        )

    def after(self, moves: bool) -> frozenset[int]:
        """Return the registers that hold the address, or something made of it, afterwards."""
        held = set(self._registers)
        for each in self._used.used_registers():
            register = Registers.full_register(each.register)
            if each.access not in _WRITES or register == Register.RSP:
                continue
            if moves:
                held.add(register)
            elif each.access == OpAccess.WRITE:
                held.discard(register)
        return frozenset(held)
