# SPDX-License-Identifier: GPL-2.0-or-later
"""Constants that a function loads into the registers of arguments (psABI 3.2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iced_x86 import (
    Code,
    Decoder,
    FlowControl,
    Instruction,
    InstructionInfoFactory,
    OpAccess,
    OpKind,
    Register,
)
from iced_x86 import RegisterExt as Registers

from suture.arch.x86_64.decoding import BITS

ARGUMENTS = (Register.RDI, Register.RSI, Register.RDX, Register.RCX, Register.R8, Register.R9)

SAVED = (Register.RBX, Register.RBP, Register.R12, Register.R13, Register.R14, Register.R15)
"""Registers that keep their values over a call (psABI 3.2.1)."""

_CONSTANT = frozenset(
    {Code.MOV_R32_IMM32, Code.MOV_R64_IMM64, Code.MOV_RM64_IMM32, Code.MOV_RM32_IMM32}
)
_COPY = frozenset({Code.MOV_R64_RM64, Code.MOV_RM64_R64, Code.MOV_R32_RM32, Code.MOV_RM32_R32})
_CLEAR = frozenset({Code.XOR_R32_RM32, Code.XOR_RM32_R32})
_WRITES = frozenset(
    {OpAccess.WRITE, OpAccess.COND_WRITE, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE}
)
_CALLS = (FlowControl.CALL, FlowControl.INDIRECT_CALL)


def arguments(code: bytes, relocated: frozenset[int], calls: Mapping[int, int]) -> list[int | None]:
    """Return the constants that a function passes (`suture.arch.effects.Effects.arguments`)."""
    registers = {field: ARGUMENTS[which] for field, which in calls.items()}
    return _Registers(code, relocated).passed(registers)


@dataclass(slots=True)
class _Registers:
    """The constants in registers along a function's code.

    :ivar relocated: the offsets of relocated fields, which are not constants.
    """

    code: bytes
    relocated: frozenset[int]

    def passed(self, calls: Mapping[int, int]) -> list[int | None]:
        """Return the constant in the register of each call, or None.

        A constant counts if it was loaded since the last target of a jump; in a saved register, if
        it is the only value that the function ever loads there.

        :param calls: offset of a call's target in the code -> the wanted register.
        """
        instructions = list(Decoder(BITS, self.code))
        labels = {
            instruction.near_branch_target
            for instruction in instructions
            if instruction.op0_kind == OpKind.NEAR_BRANCH64
        }
        always = self._always(instructions)
        known = dict(always)
        found: list[int | None] = []
        for instruction in instructions:
            start, end = instruction.ip, instruction.next_ip
            if start in labels:
                known = dict(always)
            found += [known.get(calls[field]) for field in range(start, end) if field in calls]
            if instruction.flow_control in _CALLS:
                known = {register: value for register, value in known.items() if register in SAVED}
                continue
            value = self._value(instruction, known)
            for register in _written(instruction):
                known.pop(register, None)
            if value is not None:
                known[Registers.full_register(instruction.op0_register)] = value
        return found

    def _always(self, instructions: list[Instruction]) -> dict[int, int]:
        """Return the saved registers that hold one constant wherever they are used."""
        values: dict[int, set[int | None]] = {}
        for one in instructions:
            if one.code != Code.POP_R64:  # gives its caller's value back
                for register in _written(one):
                    values.setdefault(register, set()).add(self._value(one, {}))
        sole = {
            register: found.pop()
            for register, found in values.items()
            if len(found) == 1 and register in SAVED
        }
        return {register: value for register, value in sole.items() if value is not None}

    def _value(self, one: Instruction, known: Mapping[int, int]) -> int | None:
        """Return the constant that an instruction loads into its first operand, a register."""
        if one.op_count < 2 or one.op0_kind != OpKind.REGISTER:
            return None
        if not self.relocated.isdisjoint(range(one.ip, one.next_ip)):
            return None
        mask = (1 << 8 * Registers.size(one.op0_register)) - 1
        if one.code in _CONSTANT:
            return one.immediate(1) & mask
        if one.op1_kind != OpKind.REGISTER:
            return None
        if one.code in _CLEAR and one.op0_register == one.op1_register:
            return 0
        value = known.get(Registers.full_register(one.op1_register)) if one.code in _COPY else None
        return None if value is None else value & mask


def _written(one: Instruction) -> list[int]:
    used = InstructionInfoFactory().info(one).used_registers()
    return [Registers.full_register(each.register) for each in used if each.access in _WRITES]
