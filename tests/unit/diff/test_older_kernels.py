# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects as older kernels and other options make them: calls of fentry that are no-ops already,
entries that are not filled up, code in sections that are gone since."""

from __future__ import annotations

from dataclasses import replace

import pytest

from suture.diff.changes import compare
from suture.diff.comparison import Side
from suture.diff.users import is_hookable
from suture.elf import writer
from suture.elf.object import ObjectFile
from suture.objects.special import regular_sizes
from suture.objects.view import View
from tests.unit.toolchain import (
    Anything,
    assemble,
    changed_names,
    changes,
    compile_c,
    disassembly,
    link,
    read,
    relocation_lines,
    section_lines,
    select_with,
)

SOURCE = """
extern int outside(const char *, int);
int first(int x) { return outside("first", x) + 1; }
int second(int x) { return outside("second", x) + 2; }
"""
CHANGED = SOURCE.replace('"second", x', '"SECOND", x')

CALL, NOP = b"\xe8\0\0\0\0", b"\x0f\x1f\x44\0\0"
NONE = 0


def without_calls_of_fentry(data: bytes) -> ObjectFile:
    """As recordmcount and objtool leave them: a no-op, and a relocation of type R_X86_64_NONE
    (scripts/recordmcount.c: make_nop_x86(); tools/objtool/check.c: annotate_call_site())."""
    obj = read(data)
    fentry = next(i for i, symbol in enumerate(obj.symbols) if symbol.name == "__fentry__")
    sections = list(obj.sections)
    relocations = dict(obj.relocations)
    for index, several in obj.relocations.items():
        if any(relocation.symbol == fentry for relocation in several):
            assert sections[index].data.startswith(CALL)
            sections[index] = replace(sections[index], data=NOP + sections[index].data[5:])
            relocations[index] = tuple(
                one._replace(type=NONE) if one.symbol == fentry else one for one in several
            )
    return replace(obj, sections=tuple(sections), relocations=relocations)


def test_a_call_of_fentry_that_is_a_no_op_already_is_one() -> None:
    before, after = (
        Side.of(without_calls_of_fentry(compile_c(text)), {}) for text in (SOURCE, CHANGED)
    )
    found = compare(before, after)
    assert changed_names(found) == {"second"}
    assert all(is_hookable(found.original, unit) for unit, _ in found.changed)
    linked = link(writer.write(select_with(found, Anything()).obj))
    assert disassembly(linked, "second")[0].startswith("nopl")
    assert not any("fentry" in line for line in relocation_lines(linked, ".text.second"))
    assert len(relocation_lines(linked, "__mcount_loc")) == 1


def test_no_ops_that_the_compiler_makes_are_calls_of_fentry_too() -> None:
    found = changes(SOURCE, CHANGED, "-mnop-mcount")
    assert changed_names(found) == {"second"}
    assert all(is_hookable(found.original, unit) for unit, _ in found.changed)
    linked = link(writer.write(select_with(found, Anything()).obj))
    assert "nopl" in disassembly(linked, "second")[0]
    assert len(relocation_lines(linked, "__mcount_loc")) == 1


# arch/x86/include/asm/paravirt_types.h of Linux 4.19: _paravirt_alt()
PARAVIRT = r"""
extern int outside(int);
extern int (*irq_disable)(void);
#define CALL(type) asm volatile("771:\n\tcall *%c0\n772:\n.pushsection .parainstructions,\"a\"\n" \
    " .balign 8\n .quad 771b\n .byte " #type "\n .byte 772b-771b\n .short 1\n.popsection" : : "i"(&irq_disable))
int first(int x) { CALL(1); return outside(x) + 1; }
int second(int x) { CALL(2); return outside(x) + 2; }
int third(int x) { CALL(3); return outside(x) + 3; }
"""


def test_the_last_paravirt_site_need_not_be_filled_up() -> None:
    assert {line[0]: line[2] for line in section_lines(compile_c(PARAVIRT))}[
        ".parainstructions"
    ] == 44
    changed = PARAVIRT.replace("+ 3", "+ 4").replace("+ 1", "+ 5")
    found = changes(PARAVIRT, changed)
    assert changed_names(found) == {"first", "third"}
    out = select_with(found, Anything())
    # The kernel steps from one to the next by the size of the structure (apply_paravirt()).
    assert [line.split()[0] for line in relocation_lines(out.obj, ".parainstructions")] == [
        "0",
        "10",
    ]
    held = next(one for one in out.obj.sections if one.name == ".parainstructions")
    assert len(held.data) == 32


REGULAR = {
    "__bug_table": ("\t.long {code} - .\n\t.long text - .\n\t.word 1, 2\n", 12),
    "__ex_table": ("\t.long {code} - .\n\t.long {code} + 1 - .\n", 8),
    "__jump_table": ("\t.long {code} - .\n\t.long {code} + 1 - .\n\t.quad key - .\n", 16),
    ".altinstructions": ("\t.long {code} - .\n\t.long {code} - .\n\t.word 1\n\t.byte 5, 5, 0\n", 13),
    ".static_call_sites": ("\t.long {code} - .\n\t.long key - .\n", 8),
    ".parainstructions": ("\t.balign 8\n\t.quad {code}\n\t.byte 1, 2\n", 16),
}  # fmt: skip


def regular(section: str, entries: int) -> View:
    """An object with some entries of a section."""
    code = "".join(f"f{number}:\n\tnop\n\tnop\n" for number in range(entries))
    text = "".join(REGULAR[section][0].format(code=f"f{number}") for number in range(entries))
    return View(
        read(assemble(f'.text\n{code}.data\ntext: .long 0\n.section {section}, "a"\n{text}'))
    )


@pytest.mark.parametrize("section", REGULAR)
@pytest.mark.parametrize("entries", [1, 2, 3, 5])
def test_the_size_of_entries_shows_in_their_relocations(section: str, entries: int) -> None:
    assert regular_sizes(regular(section, entries)) == {section: REGULAR[section][1]}


def test_where_no_entry_begins_with_code_no_size_shows() -> None:
    assert (
        regular_sizes(View(read(assemble('.section __bug_table, "a"\nx: .long 1, 2, 3\n')))) == {}
    )


# arch/x86/include/asm/uaccess.h, refcount.h of Linux 4.19, made short
FIXUP = r"""
extern int outside(int);
#define GET(x, from, error) asm volatile("1: movl %2, %1\n2:\n.section .fixup, \"ax\"\n" \
    "3: mov %3, %0\n xor %1, %1\n jmp 2b\n.previous\n.pushsection __ex_table,\"a\"\n.balign 4\n" \
    ".long 1b - .\n.long 3b - .\n.long 7\n.popsection" : "+r"(x), "=r"(got) : "m"(from), "i"(error))
#define COUNT(c) asm volatile("lock; incl %0\n\tjs 111f\n\t.pushsection .text..refcount, \"ax\"\n" \
    "111:\tlea %0, %%rcx\n112:\tud2\n.popsection\n113:\n.pushsection __ex_table,\"a\"\n.balign 4\n" \
    ".long 112b - .\n.long 113b - .\n.long 8\n.popsection" : "+m"(c) : : "cc", "cx")
int first(int *p) { int x = 0, got; GET(x, *p, -14); return x ? x : outside(got); }
int second(int *p) { int x = 0, got; GET(x, *p, -14); COUNT(*p); return x ? x : outside(got + 1); }
int third(int *p) { int x = 0, got; GET(x, *p, -15); COUNT(*p); return x ? x : outside(got + 2); }
"""


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("got + 1", "got + 3", "second"),
        ("*p, -15", "*p, -16", "third"),
        ("(got);", "(got - 1);", "first"),
    ],
)
def test_the_fixups_of_a_function_go_with_it_and_others_stay(old: str, new: str, name: str) -> None:
    assert FIXUP.count(old) == 1
    found = changes(FIXUP, FIXUP.replace(old, new))
    assert changed_names(found) == {name}
    assert found.left_out == ()
    linked = link(writer.write(select_with(found, Anything()).obj))
    sizes = {line[0]: line[2] for line in section_lines(linked)}
    whole = {line[0]: line[2] for line in section_lines(compile_c(FIXUP))}
    assert sizes[".fixup"] < whole[".fixup"] / 2
    assert sizes["__ex_table"] == (12 if name == "first" else 24)
    assert (".text..refcount" in sizes) == (name != "first")
    assert name == "first" or sizes[".text..refcount"] == 5
    # Back into the copy, and from the exception's place to the copied piece.
    assert any(f".text.{name} " in line for line in relocation_lines(linked, ".fixup"))
    assert any(".fixup" in line for line in relocation_lines(linked, "__ex_table"))


# include/linux/dynamic_debug.h of Linux 5.4
VERBOSE = r"""
struct _ddebug { const char *function, *text; int line; };
extern int outside(int), dynamic(struct _ddebug *, int);
#define DEBUG(text, x) ({ static struct _ddebug __attribute__((section("__verbose"), used)) \
    __attribute__((aligned(8))) descriptor = { __func__, text, 0 }; dynamic(&descriptor, x); })
int first(int x) { return DEBUG("first", x) + outside(x); }
int second(int x) { return DEBUG("second", x) + outside(x); }
"""


def test_messages_for_debugging_of_old_kernels_go_with_their_code() -> None:
    changed = VERBOSE.replace("int second(int x) {", 'int second(int x) { DEBUG("new", x + 1);')
    found = changes(VERBOSE, changed)
    assert changed_names(found) == {"second"}
    out = select_with(found, Anything())
    sizes = {line[0]: line[2] for line in section_lines(link(writer.write(out.obj)))}
    assert sizes["__verbose"] == 48
