# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel writes into its code is understood, table by table; anything else is a difference."""

from __future__ import annotations

import struct

import pytest

from tests.unit.verify.live.made_text import (
    CODE,
    OUTSIDE,
    PAGE,
    RETURN_THUNK,
    TABLES,
    THUNK,
    TRACER,
    MadeText,
    compared,
    near,
    site,
    text_with,
)

NOP5 = bytes.fromhex("0f1f440000")
RET = bytes.fromhex("c3cccccccc")
LEAVE = bytes.fromhex("4889f8")  # mov %rdi,%rax


def one_table(code: bytes, name: str, entry: bytes, symbols: dict[str, int]) -> MadeText:
    text = text_with(LEAVE + code + LEAVE, {name: entry})
    text.symbols = symbols
    return text


def differs(text: MadeText, code: bytes) -> bool:
    return bool(compared(text, LEAVE + code + LEAVE).differences)


def test_equal_code_is_the_same() -> None:
    text = text_with(LEAVE * 4, {})
    found = compared(text, LEAVE * 4)
    assert (found.size, found.differences, found.rewritten) == (12, (), {})


def test_a_byte_that_nothing_writes_to_is_a_difference() -> None:
    text = text_with(LEAVE * 4, {})
    (found,) = compared(text, LEAVE + b"\x48\x31\xf8" + LEAVE * 2).differences
    assert (found.address, found.expected, found.found) == (CODE + 4, b"\x89", b"\x31")


def test_a_function_that_cannot_be_read_is_not_compared() -> None:
    text = text_with(LEAVE * 4, {})
    with pytest.raises(AssertionError):
        compared(text, LEAVE)


# ftrace


def traced() -> MadeText:
    code = near("e8", 0, TRACER + 0x40) + LEAVE
    return text_with(code, {"__mcount_loc": struct.pack("<Q", CODE)})


def test_an_entry_is_a_no_op_or_calls_a_tracer() -> None:
    assert compared(traced(), NOP5 + LEAVE).rewritten == {"tracer's call": 1}
    found = compared(traced(), near("e8", 0, TRACER) + LEAVE)
    assert (found.differences, found.calls) == ((), TRACER)


def test_an_entry_that_calls_something_else_is_a_difference() -> None:
    (found,) = compared(traced(), near("e8", 0, OUTSIDE) + LEAVE).differences
    assert found.what == "tracer's call"
    assert compared(traced(), near("e9", 0, TRACER) + LEAVE).differences


# Static branches


def branching(enabled: int, inverse: bool, size: int = 5) -> MadeText:
    branch = NOP5 if size == 5 else b"\x66\x90"
    key = TABLES + 5 * PAGE
    entry = struct.pack(
        "<iiq", CODE + 3 - TABLES, CODE + 0x20 - TABLES - 4, key - TABLES - 8 | inverse
    )
    text = text_with(LEAVE + branch + LEAVE, {"__jump_table": entry})
    text.memory[key] = struct.pack("<i", enabled)
    return text


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize(("enabled", "inverse"), [(0, False), (1, True)])
def test_a_branch_whose_key_says_so_is_a_no_op(enabled: int, inverse: bool, size: int) -> None:
    text = branching(enabled, inverse, size)
    nop = NOP5 if size == 5 else b"\x66\x90"
    jump = near("e9", 3, CODE + 0x20) if size == 5 else b"\xeb\x1b"
    assert not differs(text, nop)
    assert differs(text, jump)


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize(("enabled", "inverse"), [(3, False), (0, True), (-1, False)])
def test_a_branch_whose_key_says_so_is_a_jump(enabled: int, inverse: bool, size: int) -> None:
    text = branching(enabled, inverse, size)
    nop = NOP5 if size == 5 else b"\x66\x90"
    jump = near("e9", 3, CODE + 0x20) if size == 5 else b"\xeb\x1b"
    assert not differs(text, jump)
    assert differs(text, nop)
    assert differs(text, near("e9", 3, CODE + 0x21) if size == 5 else b"\xeb\x1c")


# Static calls


def calling(function: int, tail: bool, code: bytes = b"") -> MadeText:
    key = TABLES + 5 * PAGE
    entry = struct.pack("<ii", CODE + 3 - TABLES, key - TABLES - 4 | tail)
    code = code or near("e9" if tail else "e8", 3, THUNK)
    text = one_table(code, ".static_call_sites", entry, {})
    text.symbols = {"__static_call_return0": THUNK + 0x10, "__x86_return_thunk": RETURN_THUNK}
    text.memory[key] = struct.pack("<Q", function)
    return text


def test_a_static_call_calls_the_function_of_its_key() -> None:
    text = calling(OUTSIDE, tail=False)
    assert not differs(text, near("e8", 3, OUTSIDE))
    assert differs(text, near("e8", 3, OUTSIDE + 1))
    assert differs(text, near("e8", 3, THUNK))  # as shipped


def test_a_static_call_of_nothing_is_a_no_op() -> None:
    assert not differs(calling(0, tail=False), NOP5)
    assert differs(calling(0, tail=False), RET)


def test_a_static_call_that_returns_zero_clears_the_register() -> None:
    text = calling(THUNK + 0x10, tail=False)
    assert not differs(text, bytes.fromhex("2e2e2e31c0"))
    assert differs(text, bytes.fromhex("2e2e2e31db"))


def test_a_static_call_at_the_end_jumps_or_returns() -> None:
    assert not differs(calling(OUTSIDE, tail=True), near("e9", 3, OUTSIDE))
    assert not differs(calling(0, tail=True), RET)
    assert not differs(calling(0, tail=True), near("e9", 3, RETURN_THUNK))
    assert differs(calling(0, tail=True), near("e9", 3, OUTSIDE))


def test_a_conditional_static_call_keeps_its_condition() -> None:
    text = calling(OUTSIDE, tail=True, code=near("0f84", 3, THUNK))
    assert not differs(text, near("0f84", 3, OUTSIDE))
    assert differs(text, near("0f85", 3, OUTSIDE))


def test_a_module_names_the_trampoline_of_a_static_call_that_it_may_not_change() -> None:
    text = calling(OUTSIDE, tail=False)
    text.symbols = {"__SCT__might_resched": TABLES + 5 * PAGE, "__SCK__might_resched": THUNK}
    text.memory[THUNK] = struct.pack("<Q", OUTSIDE + 0x40)
    assert not differs(text, near("e8", 3, OUTSIDE + 0x40))


# Retpolines and return thunks


def retpoline(code: bytes) -> MadeText:
    symbols = {"__x86_indirect_thunk_array": THUNK, "__x86_indirect_thunk_rax": THUNK}
    symbols |= {"__x86_indirect_thunk_r11": THUNK + 0x160}
    symbols |= {"__x86_indirect_its_thunk_rax": THUNK + 0x200}
    symbols |= {"__x86_indirect_its_thunk_r11": THUNK + 0x300}
    symbols |= {"__x86_indirect_call_thunk_rax": THUNK + 0x400}
    return one_table(code, ".retpoline_sites", site(3), symbols)


def test_a_call_through_a_thunk_becomes_the_indirect_call() -> None:
    text = retpoline(near("e8", 3, THUNK))
    assert not differs(text, bytes.fromhex("ffd00f1f00"))  # call *%rax; nop
    assert not differs(text, bytes.fromhex("0faee8ffd0"))  # lfence; call *%rax
    assert differs(text, bytes.fromhex("ffd10f1f00"))  # call *%rcx
    assert differs(text, bytes.fromhex("ffe00f1f00"))  # jmp *%rax


def test_a_jump_through_a_thunk_becomes_the_indirect_jump() -> None:
    text = retpoline(near("2ee9", 3, THUNK + 0x160))
    assert not differs(text, bytes.fromhex("41ffe3cc6690"))  # jmp *%r11; int3; nop
    assert differs(text, bytes.fromhex("41ffe0cc6690"))


def test_a_conditional_jump_through_a_thunk_is_turned_round() -> None:
    text = retpoline(near("0f84", 3, THUNK))
    assert not differs(text, bytes.fromhex("7504ffe0cc90"))  # jne 1f; jmp *%rax; 1:
    assert differs(text, bytes.fromhex("7404ffe0cc90"))


def test_a_call_through_another_thunk() -> None:
    text = retpoline(near("e8", 3, THUNK))
    assert not differs(text, near("e8", 3, THUNK + 0x200))
    assert not differs(text, near("e8", 3, THUNK + 0x400))
    assert differs(text, near("e8", 3, THUNK + 0x300))


def test_a_thunk_that_was_made_at_boot_is_read() -> None:
    text = retpoline(near("e8", 3, THUNK))
    text.memory[OUTSIDE] = bytes.fromhex("ffe0cccc")
    assert not differs(text, near("e8", 3, OUTSIDE))
    text.memory[OUTSIDE] = bytes.fromhex("ffe1cccc")
    assert differs(text, near("e8", 3, OUTSIDE))
    text.memory[OUTSIDE] = bytes.fromhex("41ffe3cc")
    assert differs(text, near("e8", 3, OUTSIDE))


def returning(chosen: int) -> MadeText:
    symbols = {"__x86_return_thunk": RETURN_THUNK, "x86_return_thunk": TABLES + 5 * PAGE}
    symbols |= {"srso_return_thunk": THUNK + 0x500, "another_function": THUNK + 0x600}
    text = one_table(near("e9", 3, RETURN_THUNK), ".return_sites", site(3), symbols)
    text.memory[TABLES + 5 * PAGE] = struct.pack("<Q", chosen)
    return text


def test_a_return_returns_or_jumps_to_the_thunk_in_force() -> None:
    text = returning(THUNK + 0x500)
    assert not differs(text, RET)
    assert not differs(text, near("e9", 3, THUNK + 0x500))
    assert differs(text, near("e9", 3, THUNK + 0x501))
    assert differs(text, NOP5)


@pytest.mark.parametrize("chosen", [OUTSIDE, THUNK + 0x600])
def test_a_thunk_that_is_none_is_not_believed(chosen: int) -> None:
    assert differs(returning(chosen), near("e9", 3, chosen))


# Alternatives


def alternative(
    original: bytes,
    *replacements: tuple[int, bytes],
    flags: int = 0,
    size: int = 0,
) -> MadeText:
    """Alternatives of the form since 6.3, for features."""
    entries, codes = b"", b""
    place = TABLES + PAGE
    for number, (feature, code) in enumerate(replacements):
        at = TABLES + 14 * number
        entries += struct.pack(
            "<iiHHBB",
            CODE + 3 - at,
            place + len(codes) - at - 4,
            feature,
            flags,
            size or len(original),
            len(code),
        )
        codes += code
    code = LEAVE + original + LEAVE
    tables = {".altinstructions": entries, ".altinstr_replacement": codes}
    return text_with(code, tables)


ORIGINAL = bytes.fromhex("b801000000") + b"\x90" * 3  # mov $1,%eax
FENCE = bytes.fromhex("0faee8")


def test_the_processor_decides_which_alternative_it_is() -> None:
    text = alternative(ORIGINAL, (7, FENCE))
    padded = FENCE + NOP5
    kept = ORIGINAL[:5] + bytes.fromhex("0f1f00")  # optimize_nops()
    text.features = {7}
    assert not differs(text, padded)
    assert differs(text, kept)
    text.features = {8}
    assert not differs(text, kept)
    assert differs(text, padded)
    text.features = None
    assert not differs(text, padded)
    assert not differs(text, kept)
    assert differs(text, bytes.fromhex("0faef0") + NOP5)  # mfence


def test_the_last_alternative_whose_feature_is_there_is_taken() -> None:
    text = alternative(ORIGINAL, (7, FENCE), (9, bytes.fromhex("0faef0")))
    text.features = {7, 9}
    assert not differs(text, bytes.fromhex("0faef0") + NOP5)
    assert differs(text, FENCE + NOP5)


def test_an_alternative_for_a_missing_feature() -> None:
    text = alternative(ORIGINAL, (7, FENCE), flags=1)
    text.features = {7}
    assert differs(text, FENCE + NOP5)
    text.features = set()
    assert not differs(text, FENCE + NOP5)


@pytest.mark.parametrize("size", [12, 13])
def test_alternatives_of_older_kernels(size: int) -> None:
    inverse = 7 | 0x8000
    place = TABLES + PAGE
    entry = struct.pack("<iiHBB", CODE + 3 - TABLES, place - TABLES - 4, inverse, 8, 3)
    entry += b"\x03" if size == 13 else b""
    tables = {".altinstructions": entry, ".altinstr_replacement": FENCE}
    text = text_with(LEAVE + ORIGINAL + LEAVE, tables)
    text.alt_instr = size
    assert not differs(text, FENCE + NOP5)
    text.features = {7}
    assert differs(text, FENCE + NOP5)


def test_what_leads_out_of_a_replacement_still_leads_there() -> None:
    place = TABLES + PAGE
    call = b"\xe8" + struct.pack("<i", THUNK - place - 5)
    load = b"\x48\x8b\x05" + struct.pack("<i", THUNK - place - 12)  # mov thunk(%rip),%rax
    text = alternative(b"\x90" * 12, (7, call + load))
    text.features = {7}
    moved = near("e8", 3, THUNK) + b"\x48\x8b\x05" + struct.pack("<i", THUNK - CODE - 15)
    assert not differs(text, moved)
    assert differs(text, call + load)


def test_a_jump_may_be_shortened() -> None:
    place = TABLES + PAGE
    jump = b"\xe9" + struct.pack("<i", CODE + 0x30 - place - 5)
    text = alternative(b"\x90" * 5, (7, jump))
    text.features = {7}
    assert not differs(text, b"\xeb" + bytes([0x30 - 5]) + b"\xcc" * 3)
    assert not differs(text, b"\xeb" + bytes([0x30 - 5]) + bytes.fromhex("0f1f00"))
    assert differs(text, b"\xeb" + bytes([0x31 - 5]) + b"\xcc" * 3)


def test_many_no_ops_are_jumped_over() -> None:
    text = alternative(b"\x90" * 20, (7, FENCE))
    text.features = {7}
    assert not differs(text, FENCE + b"\xeb\x0f" + b"\xcc" * 15)
    assert differs(text, FENCE + b"\xeb\x0e" + b"\xcc" * 15)
    assert differs(text, FENCE + b"\xeb\x0f" + b"\xc3" + b"\xcc" * 14)


def direct_call(target: int) -> MadeText:
    pointer = TABLES + 5 * PAGE
    original = b"\xff\x15" + struct.pack("<i", pointer - CODE - 9)  # call *pointer(%rip)
    call = b"\xe8" + struct.pack("<i", THUNK - TABLES - PAGE - 5)
    text = alternative(original, (7, call), flags=2)
    text.features = {7}
    text.symbols = {"nop_func": THUNK + 8, "BUG_func": THUNK, "native_cpuid": TRACER}
    text.memory[pointer] = struct.pack("<Q", target)
    return text


def test_a_call_through_a_pointer_calls_the_function_itself() -> None:
    assert not differs(direct_call(TRACER), near("e8", 3, TRACER) + b"\x90")
    assert not differs(direct_call(THUNK + 8), bytes.fromhex("660f1f440000"))
    assert not differs(direct_call(0), near("e8", 3, THUNK) + b"\x90")
    assert differs(direct_call(TRACER), near("e8", 3, TRACER + 1) + b"\x90")
    assert differs(direct_call(OUTSIDE), near("e8", 3, OUTSIDE) + b"\x90")


def test_a_paravirtual_call_calls_the_function_itself() -> None:
    operations = TABLES + 5 * PAGE
    entry = struct.pack("<QBB6x", CODE + 3, 2, 6)
    original = b"\xff\x15" + struct.pack("<i", operations + 16 - CODE - 9)
    symbols = {"pv_ops": operations, "_paravirt_nop": THUNK, "native_cpuid": TRACER}
    text = one_table(original, ".parainstructions", entry, symbols)
    text.memory[operations] = struct.pack("<QQQ", 0, 0, TRACER)
    assert not differs(text, near("e8", 3, TRACER) + b"\x90")
    assert differs(text, near("e8", 3, TRACER + 1) + b"\x90")
    text.memory[operations] = struct.pack("<QQQ", 0, 0, THUNK)
    assert not differs(text, bytes.fromhex("660f1f440000"))


def test_an_alternative_with_a_thunk_in_it() -> None:
    """CALL_NOSPEC of older kernels: both tables have the place."""
    text = alternative(near("e8", 3, THUNK), (7, bytes.fromhex("ffd0")))
    text.sections[".retpoline_sites"] = (TABLES + 3 * PAGE, site(3, TABLES + 3 * PAGE))
    text.symbols = {"__x86_indirect_thunk_rax": THUNK}
    assert not differs(text, bytes.fromhex("ffd00f1f00"))
    assert not differs(text, near("e8", 3, THUNK))
    assert differs(text, bytes.fromhex("ffd10f1f00"))


# Call thunks, endbr64, lock, constants


def test_a_call_may_go_to_the_bytes_before_the_function() -> None:
    symbols = {"skl_call_thunk_template": THUNK, "skl_call_thunk_tail": THUNK + 10}
    text = one_table(near("e8", 3, OUTSIDE), ".call_sites", site(3), symbols)
    assert not differs(text, near("e8", 3, OUTSIDE - 10))
    assert differs(text, near("e8", 3, OUTSIDE - 9))
    text.symbols = {}
    assert differs(text, near("e8", 3, OUTSIDE - 10))


def test_the_room_before_a_function_may_count_its_calls() -> None:
    symbols = {"skl_call_thunk_template": THUNK, "skl_call_thunk_tail": THUNK + 4}
    text = text_with(LEAVE * 2, {})
    text.symbols = symbols
    text.sections["before"] = CODE - 4, b"\x90" * 4
    text.sections["template"] = THUNK, bytes.fromhex("48c1f805")  # sar $5,%rax
    for live, is_known in (
        (b"\x90" * 4, True),
        (bytes.fromhex("48c1f805"), True),
        (RET[:4], False),
    ):
        text.memory[CODE - 4] = live
        assert bool(compared(text, LEAVE * 2).differences) != is_known


def test_a_function_may_lose_its_endbr64() -> None:
    text = one_table(bytes.fromhex("f30f1efa"), ".ibt_endbr_seal", site(3), {})
    assert not differs(text, bytes.fromhex("660f1f00"))
    assert differs(text, bytes.fromhex("f30f1efb"))


def test_one_processor_needs_no_lock() -> None:
    inc = bytes.fromhex("f0ff07")  # lock incl (%rdi)
    text = one_table(inc, ".smp_locks", site(3), {})
    assert not differs(text, bytes.fromhex("3eff07"))
    assert differs(text, bytes.fromhex("2eff07"))


def test_a_constant_is_the_value_of_its_variable() -> None:
    variable = TABLES + 5 * PAGE
    move = bytes.fromhex("48b8efcdab8967452301")
    text = one_table(move, "runtime_ptr_table", site(5), {"table": variable})
    text.memory[variable] = struct.pack("<Q", OUTSIDE)
    assert not differs(text, b"\x48\xb8" + struct.pack("<Q", OUTSIDE))
    assert differs(text, b"\x48\xb8" + struct.pack("<Q", OUTSIDE + 1))


# Probes


def test_the_breakpoint_of_a_listed_probe_is_no_difference() -> None:
    text = text_with(LEAVE * 4, {})
    live = LEAVE + b"\xcc\x89\xf8" + LEAVE * 2
    assert compared(text, live).differences
    assert not compared(text, live, probes=[CODE + 3]).differences
    assert compared(text, LEAVE + b"\x90\x89\xf8" + LEAVE * 2, probes=[CODE + 3]).differences


def test_the_jump_of_a_listed_probe_is_no_difference() -> None:
    text = text_with(LEAVE * 4, {})
    live = LEAVE + near("e9", 3, OUTSIDE) + LEAVE[2:] + LEAVE
    assert compared(text, live).differences
    assert not compared(text, live, probes=[CODE + 3]).differences


def test_a_breakpoint_in_a_place_that_the_kernel_writes_to() -> None:
    text = returning(RETURN_THUNK)
    live = LEAVE + b"\xcc" + RET[1:] + LEAVE
    assert compared(text, live).differences
    assert not compared(text, live, probes=[CODE + 3]).differences
