# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a function can return anything but 0, as its instructions say."""

from __future__ import annotations

from iced_x86 import Decoder, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register
from iced_x86 import RegisterExt as Registers

from suture.diff.view import Reference, ToUndefined, ToUnit, Unit, View

RETURN_THUNK = "__x86_return_thunk"
"""What the kernel jumps to in place of a return (arch/x86/include/asm/linkage.h)."""

_WRITES = frozenset({OpAccess.WRITE, OpAccess.COND_WRITE, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE})


def always_returns_zero(view: View, function: Unit) -> bool:
    """Every way through the function ends with 0 in its return register, and that can be seen in the function alone.

    False where it cannot be seen: a jump to other code, a value that comes from a call.
    """
    decoder = Decoder(64, view.data(function))
    instructions = {instruction.ip: instruction for instruction in decoder}
    references = {reference.offset: reference for reference in view.references(function)}
    known: dict[int, bool] = {}
    todo = [(0, False)]
    while todo:
        place, zero = todo.pop()
        if place in known and (zero or not known[place]):
            continue  # seen, knowing no more than now
        known[place] = zero
        instruction = instructions.get(place)
        if instruction is None:
            return False
        reference = next((references[at] for at in range(place, instruction.next_ip) if at in references), None)
        following = _following(function, instruction, reference, zero)
        if following is None:
            return False
        todo += following
    return True


def _following(
    function: Unit, instruction: Instruction, reference: Reference | None, zero: bool
) -> list[tuple[int, bool]] | None:
    """Where it goes on, and whether the register is 0 there; None where another value may be returned."""
    match instruction.flow_control:
        case FlowControl.NEXT:
            return [(instruction.next_ip, _is_zero_after(instruction, reference, zero))]
        case FlowControl.CALL | FlowControl.INDIRECT_CALL:
            last = instruction.next_ip == function.size  # it does not come back
            return [] if last else [(instruction.next_ip, False)]
        case FlowControl.RETURN:
            return [] if zero else None
        case FlowControl.EXCEPTION:
            return []
        case FlowControl.UNCONDITIONAL_BRANCH | FlowControl.CONDITIONAL_BRANCH:
            target = _target(function, instruction, reference)
            if target == RETURN_THUNK and instruction.flow_control == FlowControl.UNCONDITIONAL_BRANCH:
                return [] if zero else None
            if not isinstance(target, int):
                return None
            goes_on = instruction.flow_control == FlowControl.CONDITIONAL_BRANCH
            return [(target, zero), *([(instruction.next_ip, zero)] if goes_on else [])]
    return None


def _target(function: Unit, instruction: Instruction, reference: Reference | None) -> int | str | None:
    """A place in the function, or the name of another."""
    if reference is None:
        return instruction.near_branch_target
    match reference.target:
        case ToUnit(unit, offset) if unit == function:
            return offset
        case ToUndefined(name, 0):
            return name
    return None


def _is_zero_after(instruction: Instruction, reference: Reference | None, zero: bool) -> bool:
    info = InstructionInfoFactory().info(instruction)
    writes = any(
        Registers.full_register(used.register) == Register.RAX and used.access in _WRITES
        for used in info.used_registers()
    )
    if not writes:
        return zero
    if instruction.mnemonic == Mnemonic.XOR:
        return instruction.op0_register == instruction.op1_register == Register.EAX
    return (
        instruction.mnemonic == Mnemonic.MOV
        and reference is None
        and instruction.op0_register in (Register.EAX, Register.RAX)
        and instruction.op1_kind in (OpKind.IMMEDIATE32, OpKind.IMMEDIATE32TO64)
        and instruction.immediate(1) == 0
    )
