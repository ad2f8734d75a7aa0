# SPDX-License-Identifier: GPL-2.0-or-later
"""Entries of special sections, emitted as the kernel's macros do: they go with their code, and
count as part of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from suture.diff.changes import compare
from suture.diff.comparison import Side
from suture.diff.output import Linked, OutputObject, Outside
from suture.elf import writer
from suture.errors import Refusal
from suture.model import ExternalSymbol
from suture.objects.special import Entries
from suture.objects.view import Unit, View
from tests.examples import shows
from tests.unit.toolchain import (
    SIZES,
    Anything,
    assemble,
    changed_names,
    changes,
    compile_c,
    link,
    output,
    read,
    relocation_lines,
    section_lines,
    select_with,
    symbol_lines,
    tool,
)

# arch/x86/include/asm/alternative.h, .../bug.h, .../jump_label.h, .../extable.h of Linux 6.1, made
# short.
MACROS = r"""
#define noinline __attribute__((noinline))
extern int outside(int);
extern void slow_path(void), fast_path(void);
extern unsigned char features[16];
struct static_key { int enabled; };
extern struct static_key key_one, key_two;
#define ENTRY(feature, n) " .long 661b - .\n .long 66" #n "f - .\n .word " #feature "\n" \
    " .byte 662b-661b\n .byte 66" #n "1f-66" #n "f\n"
#define ALTERNATIVE(old, new, feature) \
    "661:\n\t" old "\n662:\n" ".pushsection .altinstructions,\"a\"\n" ENTRY(feature, 4) ".popsection\n" \
    ".pushsection .altinstr_replacement, \"ax\"\n664:\n\t" new "\n6641:\n.popsection\n"
#define BUG_AT(line) asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b - .\n .long %c0 - .\n" \
    " .word %c1\n .word %c2\n .org 2b+12\n.popsection" : : "i"("some/file.c"), "i"(line), "i"(0))
#define LOCK ".pushsection .smp_locks,\"a\"\n.balign 4\n.long 671f - .\n.popsection\n671:\n\tlock; "
#define EXTABLE ".pushsection __ex_table,\"a\"\n.balign 4\n.long 1b - .\n.long 2b - .\n.long 3\n.popsection\n"
static inline __attribute__((always_inline)) _Bool branch(struct static_key *key)
{
    asm goto("1: .byte 0x0f,0x1f,0x44,0x00,0x00\n.pushsection __jump_table,\"aw\"\n.balign 8\n.long 1b - .\n"
             ".long %l[yes] - .\n.quad %c0 + 1 - .\n.popsection" : : "i"(key) : : yes);
    return 0;
yes:
    return 1;
}
static inline __attribute__((always_inline)) _Bool cpu_has(void)
{
    asm goto("661:\n\tjmp 6f\n662:\n"
             ".pushsection .altinstructions,\"a\"\n" ENTRY(117, 4) ENTRY(7, 5) ".popsection\n"
             ".pushsection .altinstr_replacement, \"ax\"\n664:\n\tjmp %l[no]\n6641:\n665:\n\t\n6651:\n.popsection\n"
             ".pushsection .altinstr_aux,\"ax\"\n6:\n testb %[bit],%[byte]\n jnz %l[yes]\n jmp %l[no]\n.popsection\n"
             : : [bit] "i"(4), [byte] "m"(features[3]) : : yes, no);
yes:
    return 1;
no:
    return 0;
}
"""

PLAIN = "int plain(int x) { return outside(x) + 1; }\n"

USERS = {
    ".altinstructions": r"""
int {name}(int x) {
    asm volatile(ALTERNATIVE("call slow_path", "call fast_path", 3) : : : "memory"); return outside(x); }
""",
    "__bug_table": "int {name}(int x) {{ if (x) BUG_AT(7); return outside(x); }}\n",
    "__jump_table": "int {name}(int x) {{ if (branch(&key_one)) return outside(x + 5); return outside(x); }}\n",
    ".smp_locks": 'int {name}(int *x) {{ asm volatile(LOCK "incl %0" : "+m"(*x)); return outside(*x); }}\n',
    "__ex_table": """int {name}(int *x) {{
    int got; asm volatile("1: movl %1, %0\\n2:\\n" EXTABLE : "=r"(got) : "m"(*x)); return outside(got); }}
""",
    ".static_call_sites": """int {name}(int x) {{
    asm volatile("1: call trampoline\\n.pushsection .static_call_sites,\\"aw\\"\\n"
                 ".long 1b - .\\n.long key_one + 1 - .\\n.popsection"); return outside(x); }}
""",
    ".altinstr_aux": "int {name}(int x) {{ if (cpu_has()) return outside(x + 3); return outside(x); }}\n",
}
WITH_BRACES = USERS[".altinstructions"].replace("{", "{{").replace("}", "}}")
USERS[".altinstructions"] = WITH_BRACES.replace("{{name}}", "{name}")


def source(kind: str, *names: str) -> str:
    return MACROS + "".join(USERS[kind].format(name=name) for name in names) + PLAIN


def change(text: str, name: str) -> str:
    """Let one function return something else."""
    head, body = text.split(f"int {name}(", 1)
    return f"{head}int {name}({body.replace('return outside(', 'return 1 + outside(', 1)}"


def entries_of(out: OutputObject, section: str) -> int:
    """How many entries there are, by readelf's size."""
    size = sum(line[2] for line in section_lines(out.obj) if line[0] == section)
    return size // {".smp_locks": 4, "__mcount_loc": 8}.get(section, SIZES.get(section, 1))


@pytest.mark.parametrize("kind", USERS)
def test_entries_of_the_changed_function_come_along_and_others_do_not(kind: str) -> None:
    before = source(kind, "one", "two", "three")
    out = output(before, change(before, "two"))
    section = ".altinstructions" if kind == ".altinstr_aux" else kind
    assert entries_of(out, section) == (2 if kind == ".altinstr_aux" else 1)
    assert entries_of(out, "__mcount_loc") == 1
    assert ".text.two + " in relocation_lines(link(writer.write(out.obj)), section)[0]


@pytest.mark.parametrize("kind", USERS)
def test_entries_do_not_make_equal_functions_differ(kind: str) -> None:
    """Entries in front move all others."""
    after = source(kind, "new", "one", "two")
    found = changes(source(kind, "one", "two"), after)
    assert not found.changed
    assert [unit.name for unit in found.provided] == ["new"]


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        (".altinstructions", "call fast_path", "call outside"),
        (".altinstructions", "call fast_path", "nop"),
        (".altinstructions", '"call fast_path", 3', '"call fast_path", 4'),
        ("__bug_table", "BUG_AT(7)", "BUG_AT(8)"),
        ("__bug_table", "some/file.c", "some/else.c"),
        ("__jump_table", "&key_one", "&key_two"),
        ("__jump_table", "%c0 + 1 -", "%c0 -"),
        (".smp_locks", 'LOCK "incl', '"lock; incl'),
        ("__ex_table", ".long 3", ".long 4"),
        ("__ex_table", ".long 2b", ".long 1b"),
        (".static_call_sites", "key_one + 1", "key_one"),
        (".altinstr_aux", '[bit] "i"(4)', '[bit] "i"(8)'),
        (".altinstr_aux", "features[3]", "features[5]"),
    ],
)
def test_a_changed_entry_changes_its_function(kind: str, old: str, new: str) -> None:
    before = source(kind, "one")
    after = before.replace(old, new)
    assert after != before
    assert changed_names(changes(before, after)) == {"one"}


def test_a_replacement_behind_an_empty_one_is_compared() -> None:
    empty = 'int first(int x) { asm volatile(ALTERNATIVE("nop", "", 5)); return outside(x); }\n'
    behind = 'int second(int x) { asm volatile(ALTERNATIVE("nop; nop; nop", "lfence", 6)); return outside(x); }\n'
    before = MACROS + empty + behind
    assert changed_names(changes(before, before.replace("lfence", "mfence"))) == {"second"}


def test_a_replacement_with_a_call_behind_an_empty_one_is_copied() -> None:
    text = (
        MACROS
        + r"""int one(int x) {
    asm volatile(ALTERNATIVE("nop", "", 5));
    asm volatile(ALTERNATIVE("call slow_path", "call fast_path", 6)); return outside(x); }
"""
    )
    out = output(text, change(text, "one"))
    relocations = relocation_lines(out.obj, ".altinstr_replacement")
    assert [line.split(" ", 1)[1] for line in relocations] == ["R_X86_64_PLT32 fast_path - 4"]
    assert entries_of(out, ".altinstructions") == 2


def test_a_replacement_that_calls_a_changed_function_calls_the_new_code() -> None:
    text = (
        MACROS
        + r"""noinline int callee(int x) { return outside(x) * 2; }
int one(int x) { asm volatile(ALTERNATIVE("call slow_path", "call callee", 3) : : : "memory"); return outside(x); }
"""
    )
    out = output(text, change(change(text, "callee"), "one"))
    assert [line.split()[2] for line in relocation_lines(out.obj, ".altinstr_replacement")] == [
        "callee"
    ]


def test_the_copied_replacement_and_its_entry_fit_together() -> None:
    before = source(".altinstructions", "one", "two", "three")
    linked = link(writer.write(output(before, change(before, "two")).obj))
    text = tool("objdump", "-dr", "-j", ".altinstr_replacement", data=linked)
    assert "fast_path" in text
    assert text.count("R_X86_64") == 1
    lines = relocation_lines(linked, ".altinstructions")
    assert ".text.two + " in lines[0]
    assert ".altinstr_replacement + 0" in lines[1]


def test_static_cpu_has_comes_along_with_its_way_back() -> None:
    before = source(".altinstr_aux", "one", "two")
    out = output(before, change(before, "two"))
    text = relocation_lines(out.obj, ".altinstr_aux")
    assert [line.split()[2] for line in text] == ["features", ".text.two", ".text.two"]
    assert next(line for line in section_lines(out.obj) if line[0] == ".altinstr_aux")[2] < 24


# --- stack unwinding

ORC = """
    .section .sched.text,"ax"
    .type one, @function
one: .cfi_startproc
1:  call __fentry__
    push %rbx
2:  call outside
    pop %rbx
3:  ret
    .size one, . - one
    .type two, @function
two:
4:  call __fentry__
    {body}
    ret
    .size two, . - two
5:
    .cfi_endproc
    .section __mcount_loc,"a"
    .quad 1b, 4b
    .section .orc_unwind_ip,"a"
    .long 1b - ., 2b - ., 3b - ., 5b - .
    .section .orc_unwind,"a"
    .byte 1,1,1,1,1,1, 2,2,2,2,2,2, 3,3,3,3,3,3, 0,0,0,0,0,0
"""


def test_orc_entries_come_along_with_the_one_that_was_in_force() -> None:
    before, after = (Side(view, Entries(view, SIZES)) for view in orc_views("nop", "nop; nop"))
    out = select_with(compare(before, after), Anything())
    held = {section.name: section for section in out.obj.sections}
    ips = relocation_lines(out.obj, ".orc_unwind_ip")
    assert len(held[".orc_unwind_ip"].data) == 4 * len(ips) == 8
    # The function begins in the state that its neighbour ended in, and its end is marked.
    contents = held[".orc_unwind"].data
    states = {
        int(line.split()[0], 16) // 4: (line, contents[number * 6])
        for number, line in enumerate(ips)
    }
    start = next(state for line, state in states.values() if line.endswith(" + 0"))
    end = next(state for line, state in states.values() if not line.endswith(" + 0"))
    assert (start, end) == (3, 0)


def orc_views(*bodies: str) -> list[View]:
    return [View(read(assemble(ORC.format(body=body)))) for body in bodies]


# --- entries of another shape


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ({}, "is unknown"),
        ({"__bug_table": 16}, "not a multiple"),
        ({"__bug_table": 6}, "does not point at code"),
    ],
)
def test_entries_of_another_size_are_refused(sizes: dict[str, int], found: str) -> None:
    view = View(read(compile_c(source("__bug_table", "one"))))
    with pytest.raises(Refusal) as refused:
        Entries(view, sizes)
    assert refused.value.code == "entry-malformed"
    assert found in refused.value.found


def test_an_entry_that_points_at_data_is_refused() -> None:
    text = 'int x;\nasm(".pushsection __bug_table,\\"aw\\"\\n.long x - .\\n.long 0, 0\\n.popsection");\n'
    with pytest.raises(Refusal) as refused:
        Entries(View(read(compile_c(text))), SIZES)
    shows(refused.value, "entry-malformed")


def test_an_alternative_of_unknown_shape_is_refused() -> None:
    view = View(read(compile_c(source(".altinstructions", "one"))))
    index = view.obj.section_named(".altinstructions")
    assert index is not None
    sections = list(view.obj.sections)
    padded = sections[index].data + bytes(4)
    sections[index] = replace(sections[index], data=padded, size=len(padded))
    odd = View(replace(view.obj, sections=tuple(sections)))
    side = Side(odd, Entries(odd, SIZES | {".altinstructions": 16}))
    with pytest.raises(Refusal) as refused:
        compare(side, side)
    assert refused.value.code == "entry-malformed"


# --- what is read before a patched module is there


class InModule:
    """Everything that another file defines is in a module."""

    def defined(self, unit: Unit) -> Outside:
        return ExternalSymbol("mod", unit.name, 0)

    def undefined(self, name: str) -> Outside:
        return Linked(name) if name == "__fentry__" else ExternalSymbol("mod", name, 0)


@pytest.mark.parametrize(
    ("kind", "code"),
    [("__jump_table", "module-static-key"), (".altinstructions", "special-reference-unsupported")],
)
def test_an_early_reference_to_a_modules_symbol_is_refused(kind: str, code: str) -> None:
    text = source(kind, "one")
    with pytest.raises(Refusal) as refused:
        select_with(changes(text, change(text, "one")), InModule(), "mod")
    assert refused.value.code == code
    assert kind in refused.value.found


def test_a_static_call_of_a_module_goes_without_its_entry() -> None:
    text = source(".static_call_sites", "one")
    found = changes(text, change(text, "one"))
    assert entries_of(select_with(found, Anything(), "mod"), ".static_call_sites") == 1
    out = select_with(found, InModule(), "mod")
    assert ".static_call_sites" not in {name for name, *_ in section_lines(out.obj)}


def test_an_instruction_that_an_alternative_overwrites_may_not_refer_to_a_module() -> None:
    text = (
        MACROS
        + r"""int one(int x) {
    asm volatile(ALTERNATIVE("call slow_path", "nop", 6)); return outside(x); }
"""
    )
    with pytest.raises(Refusal) as refused:
        select_with(changes(text, change(text, "one")), InModule(), "mod")
    shows(refused.value, "special-reference-unsupported")
    assert "slow_path" in refused.value.found


def test_entries_without_early_references_are_carried_for_modules() -> None:
    for kind in ("__bug_table", ".smp_locks", "__ex_table"):
        text = source(kind, "one")
        out = select_with(changes(text, change(text, "one")), InModule(), "mod")
        assert entries_of(out, kind) == 1


def test_the_key_of_a_static_call_stays_where_objtool_looks_for_it() -> None:
    call = """
extern int __SCT__tp_func_wake(int);
extern struct key { int x; } __SCK__tp_func_wake;
static void *keep __attribute__((used, section(".discard.addressable"))) = &__SCK__tp_func_wake;
int work(int x) { return __SCT__tp_func_wake(x) + 1; }
"""
    names = symbol_lines(output(call, call.replace("+ 1", "+ 2")).obj)
    assert names["__SCT__tp_func_wake"][5] == "UND"
    assert names["__SCK__tp_func_wake"][5] == "UND"
