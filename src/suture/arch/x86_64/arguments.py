# SPDX-License-Identifier: GPL-2.0-or-later
"""Constants that a function puts into the registers of arguments (psABI 3.2.3)."""

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
"""Registers that are after a call what they were before it (psABI 3.2.1)."""

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
    registers = {field: ARGUMENTS[which] for field, which in calls.items()}
    return _Registers(code, relocated).passed(registers)


@dataclass(slots=True)
class _Registers:
    """What a function's machine code puts into registers.

    :ivar relocated: where addresses are filled in; what an instruction has there is no constant.
    """

    code: bytes
    relocated: frozenset[int]

    def passed(self, calls: Mapping[int, int]) -> list[int | None]:
        """What each call has in its register, as far as it was put there as a constant.

        What counts is what was put there since the last place that is jumped to; or, in a saved
        register, the one constant that the function puts there at all.

        :param calls: where in the code the address of a function stands -> the register that is
            asked for.
        """
        instructions = list(Decoder(BITS, self.code))
        labels = {
            one.near_branch_target for one in instructions if one.op0_kind == OpKind.NEAR_BRANCH64
        }
        always = self._always(instructions)
        known = dict(always)
        found: list[int | None] = []
        for one in instructions:
            if one.ip in labels:
                known = dict(always)
            found += [known.get(calls[at]) for at in range(one.ip, one.next_ip) if at in calls]
            if one.flow_control in _CALLS:
                known = {register: value for register, value in known.items() if register in SAVED}
                continue
            value = self._value(one, known)
            for register in _written(one):
                known.pop(register, None)
            if value is not None:
                known[Registers.full_register(one.op0_register)] = value
        return found

    def _always(self, instructions: list[Instruction]) -> dict[int, int]:
        """Saved registers that hold one constant wherever they are used."""
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
        """The constant that an instruction puts into its first operand, a register."""
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
