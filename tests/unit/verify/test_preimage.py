# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions compiled one way are found in a kernel that was compiled and linked the other way."""

from __future__ import annotations

import pytest

from suture import arch
from suture.arch.relocations import RelocationType
from suture.verify import lockstep
from suture.verify.preimage import Match, Mismatch, match_at
from tests.unit.toolchain import MACHINE, assemble, compile_c, read, symbol_lines, tool
from tests.unit.verify.kernel import (
    addresses,
    match,
    original,
    shipped,
    shipped_module,
    symbols,
    unit,
    vmlinux,
)

SOURCE = r"""
#define noinline __attribute__((noinline))
extern int outside(const char *, int);
extern int elsewhere(const char *, int);
extern __attribute__((cold)) void complain(const char *);
static int counter = 5;
static const int limits[4] = { 1, 2, 3, 4 };
int shared[8];
static noinline int helper(int x) { return outside("helped", x + counter++) + shared[x & 7]; }
int tail(int x) { counter += x; return helper(x); }
int conditional(int x) { if (x > 5) return helper(x + 1); return x < -5 ? helper(x - 1) : limits[x & 3]; }
int loop(int x)
{
    int sum = 0;
    while (x--) { if (helper(x)) sum += outside("loop", x); else sum ^= tail(x); }
    return sum;
}
int unlikely(int x)
{
    if (__builtin_expect(x < 0, 0)) { complain("negative"); return tail(1); }
    return outside("ok", x);
}
int constant(int x) { shared[x] = 5; counter = 7; return x; }
noinline int last(int x) { return helper(x + 3); }
"""
FUNCTIONS = ("helper", "tail", "conditional", "loop", "unlikely", "constant", "last")


def test_the_shipped_code_really_is_laid_out_differently() -> None:
    """Or the tests below show nothing."""
    sizes = {}
    for name, data in (("ours", compile_c(SOURCE)), ("theirs", vmlinux(SOURCE))):
        lines = (line.split() for line in tool("nm", "-S", data=data).splitlines())
        sizes[name] = {line[3]: int(line[1], 16) for line in lines if len(line) == 4}
    assert sizes["ours"]["tail"] > sizes["theirs"]["tail"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_found_with_all_that_it_refers_to(name: str) -> None:
    kernel = shipped(SOURCE)
    found = match(SOURCE, name, kernel)
    assert isinstance(found, Match)
    listed = symbols(vmlinux(SOURCE))
    for other, address in found.units.items():
        assert other.name in {symbol.name for symbol in listed.at(address)}
    for undefined, address in found.undefined.items():
        assert undefined in {symbol.name for symbol in listed.at(address)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_found_in_a_module_even_at_the_end_of_a_section(name: str) -> None:
    assert isinstance(match(SOURCE, name, shipped_module(SOURCE)), Match)


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("conditional", "x > 5", "x > 6", "conditional()+"),
        ("helper", '"helped"', '"helpee"', "'helped' here and to 'helpee'"),
        ("unlikely", '"negative"', '"positive"', "'negative' here and to 'positive'"),
        ("loop", 'outside("loop"', 'elsewhere("loop"', "refers to outside here and to elsewhere"),
        ("tail", "return helper(x)", "return last(x)", "refers to helper here and to last"),
        ("constant", "shared[x] = 5", "shared[x] = 6", "constant()+"),
        ("constant", "counter = 7", "shared[0] = 7", "constant()+"),
    ],
)
def test_another_source_is_found_out(name: str, old: str, new: str, found: str) -> None:
    declared = "int last(int x);\n"
    kernel = shipped(declared + SOURCE.replace(old, new))
    result = match(declared + SOURCE, name, kernel)
    assert isinstance(result, Mismatch)
    assert found in result.what


def test_both_instructions_are_shown_where_they_first_differ() -> None:
    result = match(SOURCE, "conditional", shipped(SOURCE.replace("x > 5", "x > 6")))
    assert isinstance(result, Mismatch)
    ours, theirs = result.evidence
    assert "$5" in ours or "$0x5" in ours or "5," in ours
    assert "6" in theirs


@pytest.mark.parametrize("option", ["-O1", "-fno-optimize-sibling-calls", "-mno-red-zone"])
def test_other_options_are_found_out_or_make_no_difference(option: str) -> None:
    kernel = shipped(SOURCE, options=(option,))
    shown = [
        tool("objdump", "-d", data=vmlinux(SOURCE, options=given)) for given in ((), (option,))
    ]
    alike = shown[0] == shown[1]
    found = {name: isinstance(match(SOURCE, name, kernel), Match) for name in FUNCTIONS}
    assert all(found.values()) == alike


def test_a_constant_without_a_name_is_compared() -> None:
    text = 'extern int outside(const char *, int);\nint user(int x) { return outside("ab\\0cd", x); }\n'
    assert isinstance(match(text, "user", shipped(text)), Match)
    result = match(text, "user", shipped(text.replace("cd", "ce")))
    assert isinstance(result, Mismatch)


def test_the_cold_part_is_compared_too() -> None:
    view = original(SOURCE)
    assert unit(view, "unlikely.cold")
    result = match(SOURCE, "unlikely", shipped(SOURCE.replace("return tail(1)", "return tail(2)")))
    assert isinstance(result, Mismatch)


# --- jumps of different length

NEAR = """
    .section .text.f,"ax"
    .type f, @function
f:  test %edi, %edi
    {jump} g
    .rept {gap}
    nop
    .endr
    {inner} 1f
    .rept 10
    inc %eax
    .endr
1:  jmp g
    .size f, . - f
"""


DECODING = arch.of(MACHINE).decoding


def code(text: str) -> tuple[bytes, dict[int, RelocationType]]:
    obj = read(assemble(text))
    index = obj.section_named(".text.f")
    assert index is not None
    return obj.sections[index].data, {
        r.offset: arch.of(MACHINE).relocations.types[r.type] for r in obj.relocations.get(index, ())
    }


@pytest.mark.parametrize("jump", ["jmp", "jne", "jbe"])
@pytest.mark.parametrize("gap", [0, 100, 120, 126, 130])
def test_short_and_near_jumps_are_equal_when_their_targets_are(jump: str, gap: int) -> None:
    text = NEAR.format(jump=jump, inner="je", gap=gap)
    ours, fields = code(text)
    theirs, none = code(text + "g: ret\n")
    assert not none
    assert len(theirs) < len(ours)
    result = lockstep.compare(DECODING, ours, theirs, 0x1000, fields)
    assert isinstance(result, lockstep.Correspondence)
    assert {field.branch_target for field in result.fields.values()} == {0x1000 + len(theirs) - 1}


@pytest.mark.parametrize(("other", "inner"), [("jne", "je"), ("jmp", "jne")])
def test_jumps_of_another_kind_or_to_another_place_differ(other: str, inner: str) -> None:
    ours, fields = code(NEAR.format(jump="jmp", inner="je", gap=1))
    theirs, _ = code(NEAR.format(jump=other, inner=inner, gap=1) + "g: ret\n")
    assert isinstance(lockstep.compare(DECODING, ours, theirs, 0, fields), lockstep.Difference)


def test_a_jump_inside_to_another_instruction_differs() -> None:
    text = NEAR.format(jump="jmp", inner="je", gap=1)
    ours, fields = code(text)
    theirs, _ = code(
        text.replace("je 1f", "je 2f").replace("1:  jmp g", "1: 2: jmp g") + "g: ret\n"
    )
    assert isinstance(lockstep.compare(DECODING, ours, theirs, 0, fields), lockstep.Correspondence)
    theirs, _ = code(text.replace(".rept 10", "2: .rept 10").replace("je 1f", "je 2f") + "g: ret\n")
    difference = lockstep.compare(DECODING, ours, theirs, 0, fields)
    assert isinstance(difference, lockstep.Difference)
    assert "je" in difference.ours


def test_code_that_ends_too_early_differs() -> None:
    ours, fields = code(NEAR.format(jump="jmp", inner="je", gap=1))
    theirs, _ = code(NEAR.format(jump="jmp", inner="je", gap=1) + "g: ret\n")
    assert isinstance(lockstep.compare(DECODING, ours, theirs[:8], 0, fields), lockstep.Difference)


# --- loops aligned by no-ops

ALIGNED_LOOP = """
    .section .text.f,"ax"
    .zero {before}
    .type f, @function
f:  xor %eax, %eax
    jmp 1f
    {padding}
2:  inc %eax
1:  cmp %edi, %eax
    jne 2b
    call g
    ret
    .size f, . - f
"""


def aligned(before: int, padding: str) -> tuple[bytes, dict[int, RelocationType]]:
    held, fields = code(ALIGNED_LOOP.format(before=before, padding=padding))
    return held[before:], {offset - before: kind for offset, kind in fields.items()}


@pytest.mark.parametrize("power", [5, 6])
@pytest.mark.parametrize(("here", "there"), [(16, 0), (0, 16), (48, 32), (32, 48), (60, 16)])
def test_a_loop_may_need_other_no_ops_to_be_aligned(power: int, here: int, there: int) -> None:
    ours, fields = aligned(here, f".p2align {power}")
    theirs, _ = aligned(there, f".p2align {power}")
    address = 0x1000 + there
    result = lockstep.compare(DECODING, ours, theirs, address, fields, start=here)
    assert isinstance(result, lockstep.Correspondence)
    (field,) = fields
    (found,) = result.fields.values()
    assert found.offset == len(theirs) - len(ours) + field
    shown = lockstep.pair_at(DECODING, ours, theirs, address, field, start=here)
    assert all("call" in one for one in shown)


@pytest.mark.parametrize("other", ["nop", ".p2align 4\nnop", "", ".p2align 6, 0xcc", ".zero 12"])
def test_what_aligns_nothing_or_is_no_no_op_differs(other: str) -> None:
    ours, fields = aligned(16, ".p2align 6")
    theirs, _ = aligned(0, other)
    found = lockstep.compare(DECODING, ours, theirs, 0x1000, fields, start=16)
    assert isinstance(found, lockstep.Difference)


LOOP = """
extern int outside(const char *, int);
extern int elsewhere(const char *, int);
extern __attribute__((cold)) void complain(const char *);
{before}
int looping(const int *some, int size)
{{
    int sum = size;
    for (int i = 0; i < size; i++)
        sum ^= some[i] * sum;
    if (__builtin_expect(sum < 0, 0)) {{
        complain("negative");
        sum = -sum;
    }}
    return outside("sum", sum) + elsewhere("sum", sum) * size;
}}
"""
FILLER = "int filler{}(int x) {{ return outside(0, x) + 1; }}"


def test_a_cold_part_returns_into_code_that_is_aligned_otherwise() -> None:
    option, sizes = "-falign-loops=64", set()
    for fillers in range(4):
        text = LOOP.format(before="\n".join(FILLER.format(number) for number in range(fillers)))
        view, kernel = original(text, option), shipped(text, options=(option,))
        looping = unit(view, "looping")
        result = match_at(view, looping, kernel, kernel.addresses("looping")[0])
        assert isinstance(result, Match), result
        assert "looping.cold" in {one.name for one in result.units}
        sizes |= {symbol_lines(vmlinux(text, options=(option,)))["looping"][1], str(looping.size)}
        other = shipped(text.replace("sum = -sum", "sum = sum + 1"), options=(option,))
        wrong = match_at(view, looping, other, other.addresses("looping")[0])
        assert isinstance(wrong, Mismatch)
    assert len(sizes) > 1


def test_addresses_are_learned_from_proved_code() -> None:
    found = addresses(SOURCE, shipped(SOURCE))
    view = found.view
    found.prove(unit(view, "helper"))
    listed = symbols(vmlinux(SOURCE))
    assert found.find(unit(view, "counter")) == listed.named("counter")[0].address
    assert found.of_undefined("outside") == listed.named("outside")[0].address
    assert found.of_undefined("never_used") is None
