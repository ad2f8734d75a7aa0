# SPDX-License-Identifier: GPL-2.0-or-later
"""Code whose static branches read their keys takes the place of code whose branches the kernel
rewrites."""

from __future__ import annotations

import pytest

from suture.arch.x86_64.jump_labels import JUMP_LABELS
from suture.diff.changes import compare
from suture.diff.output import Linked, OutputObject, Outside
from suture.diff.plan import FilePlan
from suture.diff.static_branches import with_keys_read
from suture.errors import Refusal
from suture.model import ExternalSymbol
from suture.objects.view import Unit
from tests.examples import shows
from tests.unit.toolchain import (
    compile_c,
    disassembly,
    relocation_lines,
    section_lines,
    select_with,
    side,
)

# arch/x86/include/asm/jump_label.h of Linux 6.1 in short, as kbuild leaves it without
# CONFIG_HAVE_JUMP_LABEL_HACK.
HEADER = r"""
#ifndef HEADER
#define HEADER
#define ENTRY ".pushsection __jump_table, \"aw\"\n\t.balign 8\n\t.long 1b - .\n\t.long %l[l_yes] - .\n\t" \
	".quad %c0 + %c1 - .\n\t.popsection\n\t"
static __always_inline bool arch_static_branch(struct static_key * const key, const bool branch)
{
	asm goto("1: .byte 0x0f,0x1f,0x44,0x00,0x00\n\t" ENTRY : : "i" (key), "i" (branch) : : l_yes);
	return false;
l_yes:
	return true;
}
static __always_inline bool arch_static_branch_jump(struct static_key * const key, const bool branch)
{
	asm goto("1: jmp %l[l_yes]\n\t" ENTRY : : "i" (key), "i" (branch) : : l_yes);
	return false;
l_yes:
	return true;
}
#endif
"""

BEFORE_IT = r"""
typedef _Bool bool;
enum { false, true };
#define __always_inline inline __attribute__((always_inline))
struct static_key { struct { int counter; } enabled; void *entries; };
"""

CODE = r"""
extern struct static_key away[4];
static struct static_key mine;
extern int one(int), two(int);
int likely(int x) { return arch_static_branch(&away[1], true) ? one(x) : two(x) + 1; }
int unlikely(int x) { if (arch_static_branch(&away[2], false)) { one(x); return two(5); } return two(x); }
int jumps(int x) { return arch_static_branch_jump(&mine, false) ? one(x) + 3 : two(x); }
int jumps_not(int x) { while (x-- && !arch_static_branch_jump(&mine, true)) one(x); return two(x); }
int plain(int x) { return one(x); }
void flip(void) { mine.enabled.counter++; }
"""


def rewritten(code: str = CODE) -> bytes:
    return compile_c(BEFORE_IT + HEADER + code)


def reading(code: str = CODE) -> bytes:
    return compile_c(BEFORE_IT + JUMP_LABELS.reading_keys(HEADER.encode()).decode() + code)


class InModule:
    def defined(self, unit: Unit) -> Outside:
        return ExternalSymbol("mod", unit.name, 0)

    def undefined(self, name: str) -> Outside:
        return Linked(name) if name == "__fentry__" else ExternalSymbol("mod", name, 0)


PATCHED = CODE.replace("two(x)", "two(x + 7)")


def cut(patched: str = PATCHED, read: str = PATCHED) -> OutputObject:
    changes = compare(side(rewritten()), side(rewritten(patched)))
    return select_with(with_keys_read(FilePlan.of(changes), side(reading(read))), InModule(), "mod")


def test_keys_of_the_module_are_read_where_the_kernel_would_have_rewritten_the_code() -> None:
    out = cut()
    assert {name for name, *_ in section_lines(out.obj)}.isdisjoint({"__jump_table"})
    assert {replaced.original.name for replaced in out.replaced} == {
        "likely",
        "unlikely",
        "jumps",
        "jumps_not",
    }
    # The branch is taken where enabled is not `branch`: struct jump_entry, jump_label_type().
    for name, jump in (
        ("likely", "je"),
        ("unlikely", "jne"),
        ("jumps", "jne"),
        ("jumps_not", "je"),
    ):
        lines = disassembly(out.obj, name)
        position = next(number for number, line in enumerate(lines) if line.startswith("cmpl"))
        assert lines[position].startswith("cmpl   $0x0,")
        assert lines[position + 2].split()[0] == jump
    # enabled of away[1], 16 bytes on, from the end of the instruction, 5 bytes behind the field's
    # start
    assert any(
        line.endswith("R_X86_64_PC32 mod:.klp.sym.mod.away,0 + b")
        for line in relocations(out, "likely")
    )


def test_what_the_patch_wants_called_is_called_there_too() -> None:
    called = PATCHED + (
        "static void ready(void) { two(3); }\n"
        'static void *const hook __attribute__((section(".kpatch.hooks.load"), used)) = ready;\n'
    )
    out = cut(called, called)
    assert [out.obj.symbols[call.symbol].name for call in out.calls] == ["ready"]


def relocations(out: OutputObject, function: str) -> list[str]:
    return relocation_lines(out.obj, f".text.{function}")


def test_every_other_instruction_has_to_be_the_same() -> None:
    with pytest.raises(Refusal) as refused:
        cut(read=PATCHED.replace("two(5)", "two(6)"))
    shows(refused.value, "module-static-key")
    assert "another unlikely()" in refused.value.found


LOOPS = """
int loops(const int *some, int x)
{
    int sum = x;
    if (arch_static_branch(&away[2], false)) one(x);
    for (int i = 0; i < x; i++) sum ^= some[i] * sum;
    return two(x) + sum;
}
"""
LOOPS_PATCHED = LOOPS.replace("two(x)", "two(x + 7)")


@pytest.mark.parametrize("alignment", [16, 32, 64])
def test_a_loop_behind_a_branch_may_need_other_no_ops(alignment: int) -> None:
    option = f"-falign-loops={alignment}"
    before, after = (BEFORE_IT + HEADER + code for code in (CODE + LOOPS, PATCHED + LOOPS_PATCHED))
    read = JUMP_LABELS.reading_keys(HEADER.encode()).decode() + PATCHED + LOOPS_PATCHED
    sides = [side(compile_c(text, option)) for text in (before, after, BEFORE_IT + read)]
    plan = with_keys_read(FilePlan.of(compare(sides[0], sides[1])), sides[2])
    out = select_with(plan, InModule(), "mod")
    assert "loops" in {replaced.original.name for replaced in out.replaced}
    assert any("cmpl" in line for line in disassembly(out.obj, "loops"))


def test_functions_may_be_in_another_order() -> None:
    plain = "int plain(int x) { return one(x); }\n"
    assert plain in PATCHED
    out = cut(read=PATCHED.replace(plain, "") + plain)
    assert "likely" in {replaced.original.name for replaced in out.replaced}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("&away[1], true", "&away[3], true", "another likely()"),
        ("&mine, false", "&away[1], false", "another jumps()"),
        ("return one(x); }", "return two(x); }", "another plain()"),
        ("int plain(int x)", "int plane(int x)", "other functions and variables"),
    ],
)
def test_another_key_or_function_is_refused(old: str, new: str, what: str) -> None:
    with pytest.raises(Refusal) as refused:
        cut(read=PATCHED.replace(old, new))
    assert refused.value.code == "module-static-key"
    assert what in refused.value.found


def test_a_branch_the_wrong_way_round_is_refused() -> None:
    wrong = (
        JUMP_LABELS.reading_keys(HEADER.encode()).decode().replace('".if %c1', '".if !%c1')
        + PATCHED
    )
    changes = compare(side(rewritten()), side(rewritten(PATCHED)))
    with pytest.raises(Refusal) as refused:
        with_keys_read(FilePlan.of(changes), side(compile_c(BEFORE_IT + wrong)))
    assert refused.value.code == "module-static-key"


def test_assembly_files_see_no_change_in_the_header() -> None:
    for line in ("arch_static_branch", "SUTURE_STATIC_BRANCH"):
        assert line in JUMP_LABELS.reading_keys(b"").decode()
    text = JUMP_LABELS.reading_keys(b"").decode()
    assert "asm goto" not in text.split("#if !defined(__ASSEMBLER__)")[0]
