# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions that an x86 kernel writes into its own code, and code compared by what it does."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from iced_x86 import Decoder, FlowControl, Instruction, Mnemonic

from suture.arch.live_code import LiveText
from suture.arch.x86_64.decoding import BITS, is_direct

CALL, JUMP, SHORT_JUMP, RET, INT3 = b"\xe8", b"\xe9", b"\xeb", b"\xc3", b"\xcc"
NEAR, SHORT = 5, 2
"""Bytes of a call or jump with a distance of 32 bits, and of a jump with one of 8."""

NOPS = {
    1: bytes.fromhex("90"),
    2: bytes.fromhex("6690"),
    3: bytes.fromhex("0f1f00"),
    4: bytes.fromhex("0f1f4000"),
    5: bytes.fromhex("0f1f440000"),
}
"""``arch/x86/include/asm/nops.h: BYTES_NOP1`` and on."""

REGISTERS = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *(f"r{number}" for number in range(8, 16)),
)
"""By number, as thunks are named (arch/x86/include/asm/GEN-for-each-reg.h)."""

ITS_THUNK = "__x86_indirect_its_thunk_"

_ENDS = (FlowControl.UNCONDITIONAL_BRANCH, FlowControl.INDIRECT_BRANCH, FlowControl.RETURN)


def near(opcode: bytes, address: int, target: int) -> bytes:
    """Return a call or jump with a distance of 32 bits, ``__text_gen_insn()``."""
    distance = target - (address + len(opcode) + 4)
    return opcode + (distance & 0xFFFFFFFF).to_bytes(4, "little")


def jump(address: int, target: int, size: int) -> bytes:
    """Return a jump of 2 or 5 bytes."""
    if size == NEAR:
        return near(JUMP, address, target)
    return SHORT_JUMP + (target - (address + SHORT) & 0xFF).to_bytes(1, "little")


def no_op(size: int) -> bytes:
    """Return a no-op of 1 to 5 bytes."""
    return NOPS[size]


def target_of(code: bytes, address: int) -> int | None:
    """Return the target of a direct call or jump, or None."""
    one = Decoder(BITS, code, ip=address).decode() if code else None
    return one.near_branch_target if one is not None and is_direct(one) else None


def call_target(code: bytes, address: int) -> int | None:
    """Return the target of a direct call, or None."""
    return target_of(code, address) if code.startswith(CALL) else None


def normal(code: bytes, address: int, text: LiveText) -> Hashable:
    """Return code as a value that is equal for code that does the same.

    The kernel writes no-ops in other lengths than the assembler, jumps over many of them, shortens
    jumps (``arch/x86/kernel/alternative.c: optimize_nops()``, ``recompute_jump()``), and fills up
    with ``int3`` behind a jump, where nothing runs.
    """
    return tuple(_steps(code, address, text))


def _steps(code: bytes, address: int, text: LiveText) -> Iterator[tuple[object, ...]]:
    end, skipped, after_end = address + len(code), address, False
    for one in Decoder(BITS, code, ip=address):
        if one.ip < skipped or (after_end and one.mnemonic == Mnemonic.INT3):
            continue
        if one.mnemonic == Mnemonic.NOP:
            continue
        beyond = _jumps_over_filler(one, code, address, end)
        if beyond:
            skipped = beyond
            continue
        after_end = one.flow_control in _ENDS
        if is_direct(one):
            yield one.ip, one.mnemonic, _static_thunk(one.near_branch_target, text)
        else:
            at = one.ip - address
            yield one.ip, code[at : at + len(one)]


def _jumps_over_filler(one: Instruction, code: bytes, address: int, end: int) -> int:
    """Return the target of a jump over nothing but filler, or 0."""
    if one.mnemonic != Mnemonic.JMP or not is_direct(one):
        return 0
    target = one.near_branch_target
    if not one.next_ip <= target <= end:
        return 0
    between = Decoder(BITS, code[one.next_ip - address : target - address], ip=one.next_ip)
    return target if all(_is_filler(each, target) for each in between) else 0


def _is_filler(one: Instruction, end: int) -> bool:
    """Whether an instruction does nothing but lead on to `end`."""
    if one.mnemonic == Mnemonic.JMP and is_direct(one):
        return one.next_ip <= one.near_branch_target <= end
    return one.mnemonic in (Mnemonic.INT3, Mnemonic.NOP)


def _static_thunk(target: int, text: LiveText) -> int:
    """Return the thunk of the image that does what a thunk made at boot does
    (``arch/x86/kernel/alternative.c: its_init_thunk()``), or the target as it is."""
    if text.shipped(target, 1):
        return target
    number = its_register(text.live(target, 4))
    thunk = None if number is None else text.symbol(ITS_THUNK + REGISTERS[number])
    return target if thunk is None else thunk


def its_register(code: bytes) -> int | None:
    """Return the number of the register in ``jmp *%reg; int3``, or None."""
    high = code.startswith(b"\x41")
    tail = code[1:] if high else code
    if tail[:1] != b"\xff" or tail[1:2] < b"\xe0" or tail[1:2] > b"\xe7" or tail[2:3] != INT3:
        return None
    return tail[1] - 0xE0 + 8 * high


def moved(code: bytes, source: int, place: int) -> bytes:
    """Return code from one address as it reads at another one, ``__apply_relocation()``: what leads
    out of it still leads there."""
    result = bytearray(code)
    decoder = Decoder(BITS, code, ip=source)
    for one in decoder:
        constants = decoder.get_constant_offsets(one)
        at = one.ip - source
        if is_direct(one):
            target = one.near_branch_target
            field, size = constants.immediate_offset, constants.immediate_size
        elif one.is_ip_rel_memory_operand:
            target = one.ip_rel_memory_address
            field, size = constants.displacement_offset, constants.displacement_size
        else:
            continue
        if not source <= target <= source + len(code):
            _add(result, at + field, size, source - place)
    return bytes(result)


def _add(code: bytearray, at: int, size: int, value: int) -> None:
    old = int.from_bytes(code[at : at + size], "little")
    code[at : at + size] = (old + value & (1 << 8 * size) - 1).to_bytes(size, "little")
