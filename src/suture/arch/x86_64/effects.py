# SPDX-License-Identifier: GPL-2.0-or-later
"""`suture.arch.effects.Effects` for x86-64: the effects of single instructions."""

from __future__ import annotations

from iced_x86 import (
    Decoder,
    Instruction,
    InstructionInfoFactory,
    MemorySizeExt,
    Mnemonic,
    OpAccess,
    OpKind,
    Register,
)
from iced_x86 import RegisterExt as Registers

from suture.arch.effects import Access
from suture.arch.x86_64.addresses import CONVENTION
from suture.arch.x86_64.addresses import address_step as address_step
from suture.arch.x86_64.arguments import arguments as arguments
from suture.arch.x86_64.decoding import BITS
from suture.arch.x86_64.stores import stored as stored

WRITES = frozenset(
    {OpAccess.WRITE, OpAccess.COND_WRITE, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE}
)

convention = CONVENTION


def access(code: bytes, field: int) -> tuple[Access, int]:
    """Return the use that the instruction around a relocated field makes of it, and of how many
    bytes.

    ``mov %eax,variable(%rip)`` stores 4 bytes; ``lea variable(%rip),%rdi`` passes the address on.
    """
    decoder = Decoder(BITS, code)
    for one in decoder:
        if field < one.next_ip:
            found = _access(decoder, one, field)
            return found, 0 if found is Access.ADDRESS else _width(one)
    return Access.ADDRESS, 0


def _width(one: Instruction) -> int:
    """Return the number of bytes that an instruction accesses at the one place that it contains; 0
    for an address with a register in it."""
    if one.memory_index != Register.NONE or one.memory_base not in (Register.NONE, Register.RIP):
        return 0
    return int(MemorySizeExt.size(one.memory_size))


def _access(decoder: Decoder, one: Instruction, field: int) -> Access:
    constants = decoder.get_constant_offsets(one)
    if not constants.has_displacement or one.ip + constants.displacement_offset != field:
        return Access.ADDRESS  # an immediate operand
    used = InstructionInfoFactory().info(one).used_memory()
    # A call pushes its return address.
    accesses = [memory.access for memory in used if memory.base != Register.RSP]
    if any(each in WRITES for each in accesses):
        return Access.STORE
    # lea accesses no memory, and an address with an index may be another variable's.
    reads = OpAccess.READ in accesses or OpAccess.COND_READ in accesses
    return Access.READ if reads else Access.ADDRESS


def returns_zero_after(code: bytes, is_relocated: bool, before: bool) -> bool:
    """Whether ``eax`` is certain to hold 0 after an instruction: ``xor %eax,%eax`` or ``mov
    $0,%eax``, or one that does not write it while it is 0."""
    one = Decoder(BITS, code).decode()
    writes = any(
        Registers.full_register(used.register) == Register.RAX and used.access in WRITES
        for used in InstructionInfoFactory().info(one).used_registers()
    )
    if not writes:
        return before
    if one.mnemonic == Mnemonic.XOR:
        return one.op0_register == one.op1_register == Register.EAX
    return (
        one.mnemonic == Mnemonic.MOV
        and not is_relocated
        and one.op0_register in (Register.EAX, Register.RAX)
        and one.op1_kind in (OpKind.IMMEDIATE32, OpKind.IMMEDIATE32TO64)
        and one.immediate(1) == 0
    )
