# SPDX-License-Identifier: GPL-2.0-or-later
"""Constants that the kernel writes into its own code at boot, as the macros of Linux 7.3 emit
them."""

from __future__ import annotations

import pytest

from suture.diff.output import Outside
from suture.elf.object import ObjectFile
from suture.errors import SYMBOL_NOT_FOUND, Refusal
from tests.examples import shows
from tests.unit.toolchain import (
    Anything,
    changed_names,
    changes,
    disassembly,
    output,
    relocation_lines,
    section_lines,
    select_with,
)

# arch/x86/include/asm/runtime-const.h, made short
SOURCE = r"""
#define POINTER(sym) ({ unsigned long made; asm("mov %1,%0\n1:\n.pushsection runtime_ptr_" #sym ",\"a\"\n\t" \
    ".long 1b - 8 - .\n.popsection" : "=r" (made) : "i" (0x0123456789abcdefull)); made; })
#define MASK(x, sym) ({ unsigned made = (x); asm("and $0x12345678, %k0\n1:\n.pushsection runtime_mask_" #sym \
    ",\"a\"\n\t.long 1b - 4 - .\n.popsection" : "+c" (made)); made; })
#define SHIFTED(x, sym) ({ unsigned made = (x); asm("shrl $12,%k0\n1:\n.pushsection runtime_shift_" #sym \
    ",\"a\"\n\t.long 1b - 1 - .\n.popsection" : "+r" (made)); made; })
extern int outside(unsigned long);
extern unsigned long USER_PTR_MAX;
static unsigned long names_cache;
unsigned int futex_mask;
void set(unsigned long x) { names_cache = x; }
unsigned long get(void) { return names_cache; }
int pointer(unsigned long x) { return x < POINTER(USER_PTR_MAX) ? outside(x) + 1 : 0; }
int cache(unsigned long x) { return outside(POINTER(names_cache) + x) + 1; }
int mask(unsigned int x) { return outside(MASK(x, futex_mask)) + 1; }
int shifted(unsigned int x) { return outside(SHIFTED(x, hash_shift)) + 1; }
"""


def cut(function: str) -> ObjectFile:
    return output(SOURCE, changed(function)).obj


def changed(function: str) -> str:
    head, tail = SOURCE.split(f"int {function}(", 1)
    return f"{head}int {function}({tail.replace('+ 1', '+ 2', 1)}"


@pytest.mark.parametrize(
    ("function", "variable", "load"),
    [
        ("pointer", "USER_PTR_MAX", "mov"),
        ("cache", "kernel_names_cache", "mov"),
        ("mask", "kernel_futex_mask", "and"),
    ],
)
def test_new_code_reads_the_kernels_variable(function: str, variable: str, load: str) -> None:
    out = cut(function)
    assert any(variable in line for line in relocation_lines(out, f".text.{function}"))
    code = disassembly(out, function)
    place = next(
        i
        for i, line in enumerate(code)
        if line.startswith("R_X86_64_PC32 ") and variable.removeprefix("kernel_") in line
    )
    assert code[place - 1].split()[0] == load
    assert "123456" not in " ".join(code)
    assert not any(name.startswith("runtime_") for name, *_ in section_lines(out))


def test_code_without_room_for_a_load_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        cut("shifted")
    shows(refused.value, "boot-constant-copied")
    assert "hash_shift" in refused.value.found


class Without(Anything):
    """A kernel in which a variable is missing."""

    def undefined(self, name: str) -> Outside:
        if name == "USER_PTR_MAX":
            raise Refusal(SYMBOL_NOT_FOUND, name, "vmlinux has no global symbol of that name")
        return super().undefined(name)


def test_a_constant_that_is_in_no_variable_is_refused() -> None:
    with pytest.raises(Refusal, match="boot-constant-copied") as refused:
        select_with(changes(SOURCE, changed("pointer")), Without())
    assert "pointer()" in refused.value.where


def test_another_variable_is_a_change_of_the_function_alone() -> None:
    other = SOURCE.replace("POINTER(names_cache)", "POINTER(USER_PTR_MAX)")
    assert changed_names(changes(SOURCE, other)) == {"cache"}
    assert changed_names(changes(SOURCE, changed("mask"))) == {"mask"}


def test_a_function_that_is_only_called_keeps_its_constant() -> None:
    resolver = Anything()
    text = SOURCE + "int caller(unsigned int x) { return shifted(x) + 1; }\n"
    text = text.replace("int shifted", "__attribute__((noinline)) int shifted")
    select_with(changes(text, text.replace("shifted(x) + 1", "shifted(x) + 2")), resolver)
    assert "shifted" in resolver.defined_asked
