# SPDX-License-Identifier: GPL-2.0-or-later
"""What a store to memory writes, on x86-64 (`suture.arch.effects.StoredValue`)."""

from __future__ import annotations

from collections.abc import Sequence

from iced_x86 import (
    Decoder,
    FlowControl,
    Instruction,
    InstructionInfoFactory,
    Mnemonic,
    OpAccess,
)
from iced_x86 import OpKind as Kinds
from iced_x86 import RegisterExt as Registers

from suture.arch.effects import StoredValue
from suture.arch.x86_64.decoding import BITS, is_direct

_IMMEDIATES = (
    *(Kinds.IMMEDIATE8, Kinds.IMMEDIATE16, Kinds.IMMEDIATE32),
    *(Kinds.IMMEDIATE8TO16, Kinds.IMMEDIATE8TO32, Kinds.IMMEDIATE8TO64),
    Kinds.IMMEDIATE32TO64,
)
_WRITES = (
    *(OpAccess.WRITE, OpAccess.COND_WRITE),
    *(OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE),
)


def stored(code: bytes, at: int) -> StoredValue:
    """Return what the storing instruction at `at` of a function does with its place.

    ``movq $0x0,list(%rip)`` puts zero there, and so do ``xor %edx,%edx`` and ``mov
    %edx,lock(%rip)``, as GCC writes it in ``__init`` code, which is small rather than fast.
    ``lock incl count(%rip)`` reads it first.
    """
    decoded = list(Decoder(BITS, code))
    position = next(index for index, one in enumerate(decoded) if one.ip == at)
    one = decoded[position]
    if one.mnemonic != Mnemonic.MOV:
        return StoredValue(reads=True, is_zero=False)
    if one.op1_kind in _IMMEDIATES:
        return StoredValue(reads=False, is_zero=one.immediate(1) == 0)
    register = Registers.full_register(one.op1_register)
    return StoredValue(reads=False, is_zero=_is_cleared(decoded, position, register))


def _is_cleared(decoded: Sequence[Instruction], position: int, register: int) -> bool:
    """Whether a register is zero at a position, as the straight code before it shows."""
    targets = {one.near_branch_target for one in decoded if is_direct(one)}
    factory = InstructionInfoFactory()
    for index in range(position, 0, -1):
        one = decoded[index - 1]
        if decoded[index].ip in targets or one.flow_control != FlowControl.NEXT:
            return False
        is_written = any(
            Registers.full_register(used.register) == register and used.access in _WRITES
            for used in factory.info(one).used_registers()
        )
        if is_written:
            return one.mnemonic == Mnemonic.XOR and one.op0_register == one.op1_register
    return False
