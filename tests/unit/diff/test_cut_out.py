# SPDX-License-Identifier: GPL-2.0-or-later
"""What comes along with a changed function, and what stays the kernel's."""

from __future__ import annotations

import pytest

from suture.diff.object_builder import Builder
from suture.diff.output import OutputObject
from suture.elf import writer
from suture.elf.object import SHF_ALLOC, SHF_MERGE, SHF_STRINGS, SHT_PROGBITS, Section
from suture.errors import Refusal
from tests.unit.toolchain import (
    MACHINE,
    Anything,
    changes,
    compile_c,
    disassembly,
    link,
    output,
    relocation_lines,
    section_lines,
    select_with,
    symbol_lines,
    tool,
)

BASE = r"""
#define noinline __attribute__((noinline))
extern int outside(const char *, int);
extern void give(int (*)(int));
static int counter = 5;
static noinline int helper(int x) { return outside("helped", x + counter); }
noinline int first(int x) { give(first); return helper(x) + 1; }
noinline int second(int x) { counter++; return outside("second", x) * 3; }
"""


def names(out: OutputObject) -> set[str]:
    """Symbols that the output object defines, as nm lists them."""
    lines = tool("nm", data=writer.write(out.obj)).splitlines()
    return {line.split()[-1] for line in lines if line.split()[-2] != "U"}


def wanted(out: OutputObject) -> set[str]:
    lines = tool("nm", "-u", data=writer.write(out.obj)).splitlines()
    return {line.split()[-1] for line in lines}


def the_same_code(out: OutputObject, patched: str, function: str) -> None:
    """What comes out, linked, disassembles as the patched object does."""
    ours = disassembly(link(writer.write(out.obj)), function)
    assert ours == disassembly(compile_c(patched), function)


def test_only_what_changed_is_copied() -> None:
    patched = BASE.replace('"second"', '"other"')
    out = output(BASE, patched)
    assert names(out) == {"second"}
    assert wanted(out) == {"outside", "kernel_counter", "__fentry__"}
    assert b"other\0" in writer.write(out.obj)
    assert b"helped" not in writer.write(out.obj)
    the_same_code(out, patched, "second")


def test_a_new_function_variable_and_string_come_along() -> None:
    new = """static int added_value = 77;
static int added_zero;
static noinline int added(int x) { added_zero++; return outside("brand new", x + added_value++); }
noinline int second"""
    patched = BASE.replace("noinline int second", new).replace("* 3", "* added(x)")
    out = output(BASE, patched)
    assert names(out) == {"second", "added", "added_value", "added_zero"}
    assert out.new == ("added",)
    written = writer.write(out.obj)
    assert (77).to_bytes(4, "little") in written
    for function in ("second", "added"):
        the_same_code(out, patched, function)
    lines = {line[0]: line for line in section_lines(written)}
    assert lines[".bss.added_zero"][1:3] == ("NOBITS", 4)
    assert lines[".data.added_value"][1:3] == ("PROGBITS", 4)


def test_new_functions_that_call_each_other() -> None:
    new = """static noinline int odd(int x);
static noinline int even(int x) { return x ? odd(x - 1) + outside("even", x) : 1; }
static noinline int odd(int x) { return x ? even(x - 1) + outside("odd", x) : 0; }
noinline int second"""
    patched = BASE.replace("noinline int second", new).replace("* 3", "* even(x)")
    out = output(BASE, patched)
    assert {"even", "odd", "second"} <= names(out)
    assert set(out.new) == {"even", "odd"}
    the_same_code(out, patched, "even")
    the_same_code(out, patched, "odd")


def test_a_changed_callee_is_called_directly_and_its_address_stays_the_kernels() -> None:
    patched = BASE.replace('"helped"', '"helped more"').replace("+ 1;", "+ 2;")
    out = output(BASE, patched)
    assert {"helper", "first"} <= names(out)
    relocations = relocation_lines(out.obj, ".text.first")
    assert any("R_X86_64_32S" in line and line.endswith("kernel_first + 0") for line in relocations)
    assert any(line.endswith(" helper - 4") for line in relocations)


def test_a_changed_function_that_calls_itself_calls_the_new_code() -> None:
    loop = """extern int outside(int);
int again(int x) { return x ? again(x - 1) * outside(x) + again(x / 2) : 5; }
"""
    patched = loop.replace(": 5", ": 6")
    out = output(loop, patched)
    assert wanted(out) == {"outside", "__fentry__"}
    the_same_code(out, patched, "again")


def test_the_cold_part_goes_with_its_function() -> None:
    cold = """extern int outside(const char *, int);
extern __attribute__((cold)) void complain(const char *);
int entry(int x)
{
    if (__builtin_expect(x < 0, 0)) { complain("negative"); return outside("bad", x); }
    return outside("good", x);
}
extern int also(int) __attribute__((alias("entry")));
"""
    patched = cold.replace('"negative"', '"below zero"')
    out = output(cold, patched)
    assert {name for name in names(out) if "cold" in name} == {"entry.cold"}
    assert wanted(out) == {"outside", "complain", "__fentry__"}
    linked = link(writer.write(out.obj))
    assert disassembly(linked, "entry.cold") == disassembly(compile_c(patched), "entry.cold")


def test_a_new_global_function_can_be_linked_by_other_files_under_all_its_names() -> None:
    patched = (
        BASE
        + 'int added(int x) { return second(x); }\nextern int also(int) __attribute__((alias("added")));\n'
    )
    symbols = symbol_lines(output(BASE, patched).obj)
    assert symbols["added"][3] == symbols["also"][3] == "GLOBAL"


COMPUTED = """extern int outside(int);
int machine(const unsigned char *code)
{
    static const void *const table[] IN_SECTION = { &&add, &&sub, &&stop };
    int x = 0;
    goto *table[*code++];
add: x += outside(1); goto *table[*code++];
sub: x -= outside(2); goto *table[*code++];
stop: return x;
}
"""
C_JUMP_TABLE = ".data.rel.ro.c_jump_table"
"""include/linux/compiler.h of 6.12: __annotate_jump_table."""


@pytest.mark.parametrize("section", ["", C_JUMP_TABLE])
def test_a_table_for_computed_jumps_goes_with_its_function(section: str) -> None:
    attribute = f'__attribute__((section("{section}")))' if section else ""
    computed = COMPUTED.replace("IN_SECTION", attribute)
    patched = computed.replace("outside(2)", "outside(x) + outside(3)")
    out = output(computed, patched)
    table = next(name for name in names(out) if name.startswith("table"))
    place = section or f".rodata.{table}"
    flags = {name: flags for name, _, _, flags in section_lines(out.obj)}
    assert ("W" in flags[place]) == bool(section)
    relocations = relocation_lines(out.obj, place)
    assert len(relocations) == 3
    assert all("machine" in line for line in relocations)
    # objtool finds the table by its section's name (arch_find_switch_table()).
    assert any(f" {place} + 0" in line for line in relocation_lines(out.obj, ".text.machine"))
    the_same_code(out, patched, "machine")


def test_a_switch_table_goes_with_its_function() -> None:
    switch = "extern int a(int), b(int), c(int), d(int), e(int), f(int);\nint choose(int x, int y) {\n switch (x) {\n"
    cases = "".join(
        f" case {number}: y += {name}(y); break;\n" for number, name in enumerate("abcdef")
    )
    source = f"{switch}{cases} }}\n return y; }}\n"
    patched = source.replace("y += d(y)", "y -= d(y + 1)")
    out = output(source, patched, "-fjump-tables")
    assert {"choose"} <= names(out) <= {"choose", "choose.cold"}
    relocations = relocation_lines(out.obj, ".rodata.choose") or relocation_lines(
        out.obj, ".rodata"
    )
    assert len(relocations) == 6
    assert all("choose" in line for line in relocations)
    linked = link(writer.write(out.obj))
    assert disassembly(linked, "choose") == disassembly(
        compile_c(patched, "-fjump-tables"), "choose"
    )


def test_a_string_with_a_nul_inside_is_copied_whole() -> None:
    nul = 'extern int outside(const char *, int);\nint f(int x) { return outside("ab\\0cd", x); }\n'
    out = output(nul, nul.replace("cd", "ce"))
    assert b"ab\0ce\0" in writer.write(out.obj)


def test_equal_strings_are_stored_once_and_the_linker_does_not_merge_them() -> None:
    strings = 'extern int outside(const char *, int);\nint f(int x) { return outside("one", x) + outside("two", x); }\n'
    new = """int g(int x) { return outside("one", x) - outside("two", x); }\nint f"""
    out = output(strings, strings.replace("int f", new, 1).replace("+", "*"))
    held = [section for section in out.obj.sections if section.name.startswith(".rodata.str")]
    assert b"".join(section.data for section in held).count(b"one\0") == 1
    assert not any(section.flags & (SHF_MERGE | SHF_STRINGS) for section in held)


def test_pooled_literals_keep_their_alignment() -> None:
    builder = Builder(MACHINE)
    like = Section(
        ".rodata.str1.8", SHT_PROGBITS, SHF_ALLOC | SHF_MERGE | SHF_STRINGS, b"", 0, 8, 1
    )
    places = [
        builder.literal(like, text)[1] for text in (b"abc\0", b"defghijkl\0", b"abc\0", b"x\0")
    ]
    assert places == [0, 8, 0, 24]


def test_a_variable_that_is_new_in_a_shared_section_is_copied_alone() -> None:
    shared = (
        BASE + '#define hot __attribute__((section(".data..read_mostly")))\nhot int known = 1;\n'
    )
    patched = shared + "hot int added = 9;\n"
    out = output(shared, patched.replace("* 3", "* 4"))
    assert symbol_lines(out.obj)["added"][1] == "4"
    assert section_lines(out.obj)
    assert next(line for line in section_lines(out.obj) if line[0] == ".data..read_mostly")[2] == 4


def test_a_function_in_a_shared_section_is_copied_alone() -> None:
    shared = """extern int outside(int);
#define sched __attribute__((section(".sched.text")))
sched int one(int x) { return outside(x) + 1; }
sched int two(int x) { return outside(x) + 2; }
"""
    patched = shared.replace("+ 2", "+ 3")
    out = output(shared, patched)
    assert names(out) == {"two"}
    the_same_code(out, patched.replace('__attribute__((section(".sched.text")))', ""), "two")


def test_init_data_that_changed_code_refers_to_is_refused() -> None:
    init = BASE + '__attribute__((section(".init.data"))) int gone = 1;\n'
    with pytest.raises(Refusal) as refused:
        output(
            init,
            init.replace("* 3; }", "* gone; }").replace(
                "static int", "extern int gone;\nstatic int", 1
            ),
        )
    assert refused.value.code == "init-referenced"
    assert "gone" in refused.value.where


def test_a_call_to_an_init_function_is_refused() -> None:
    init = (
        BASE
        + '__attribute__((section(".init.text"))) noinline int setup(int x) { return outside("up", x); }\n'
    )
    patched = init.replace("* 3; }", "* setup(x); }").replace(
        "extern void", "extern int setup(int);\nextern void", 1
    )
    with pytest.raises(Refusal) as refused:
        output(init, patched)
    assert refused.value.code == "init-referenced"


def test_unnamed_variable_data_is_refused() -> None:
    asm = BASE + 'asm(".data\\n.zero 16\\n.text");\n'
    asm += 'int third(int x) { asm volatile("incl .data+4(%rip)"); return x; }\n'
    with pytest.raises(Refusal) as refused:
        output(asm, asm.replace("return x;", 'return x + outside("", x);'))
    assert refused.value.code == "symbol-unsupported"


def test_a_jump_into_a_function_that_stays_is_refused() -> None:
    jump = BASE + 'int third(int x) { asm volatile("jmp second+9"); return x; }\n'
    with pytest.raises(Refusal) as refused:
        output(jump, jump.replace("return x;", 'return x + outside("", x);'))
    assert refused.value.code == "symbol-unsupported"
    assert "second" in refused.value.where


def test_absolute_symbols_stay_numbers() -> None:
    asm = 'asm(".set number, 0x1234");\nextern char number[];\nextern int outside(int);\n'
    source = asm + "long f(int x) { return outside(x) + (long)number; }\n"
    out = output(source, source.replace("outside(x)", "outside(x + 1)"))
    linked = link(
        writer.write(out.obj), options=("-Ttext=0x1000", "-e0", "--unresolved-symbols=ignore-all")
    )
    assert "0x1234" in tool("objdump", "-d", data=linked)


def test_every_part_of_the_output_is_accepted_by_the_linker() -> None:
    patched = (
        BASE.replace('"second"', '"other"').replace('"helped"', '"more"').replace("+ 1;", "+ 2;")
    )
    out = select_with(changes(BASE, patched), Anything())
    again = output(BASE + "int z;", patched + "int z;")
    linked = link(writer.write(out.obj), writer.write(again.obj))
    assert "livepatch" not in tool("readelf", "-aW", data=linked)
