# SPDX-License-Identifier: GPL-2.0-or-later
"""Object files with as many functions as wanted, in the shape that kernel code has, assembled from
text.

Each function has an fentry call, a string of its own, a static variable, calls of neighbours and of
another file; every third a trap with an entry in ``__bug_table``, every fourth a static branch,
every fifth a name that the compiler numbered.  A section holds a few functions, as in a linked
module: one section each would be more than ELF can count without extensions (65,279).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

SIZES = {
    ".altinstructions": 12,
    "__bug_table": 12,
    "__ex_table": 12,
    "__jump_table": 16,
    ".static_call_sites": 8,
    ".parainstructions": 16,
}
"""Entry sizes of Linux 6.1."""

TOGETHER = 20
"""Functions in a section."""


def generate(count: int, changed: int, directory: Path) -> tuple[Path, Path]:
    """Assemble an object of `count` functions and one in which `changed` of them, spread evenly,
    differ."""
    differing = set(range(0, count, max(count // changed, 1)))
    return _assemble(directory / "original.o", count, set()), _assemble(
        directory / "patched.o", count, differing
    )


def _assemble(path: Path, count: int, differing: set[int]) -> Path:
    with subprocess.Popen(
        ["as", "--64", "-o", str(path), "-"], stdin=subprocess.PIPE, text=True
    ) as assembler:
        assert assembler.stdin is not None
        assembler.stdin.write(
            '.section .rodata.str1.1,"aMS",@progbits,1\n.Lfile: .string "file.c"\n'
        )
        for number in range(count):
            assembler.stdin.writelines(_function(number, count, number in differing))
    if assembler.returncode:
        raise subprocess.CalledProcessError(assembler.returncode, "as")
    return path


def _function(number: int, count: int, differs: bool) -> Iterator[str]:
    name, state = _name(number), f"state.{number}"
    word = "patched" if differs else "message"
    yield f"""
    .section .rodata.str1.1,"aMS",@progbits,1
.LC{number}: .string "{word} {number}"
    .bss
    .align 4
    .type {state}, @object
    .size {state}, 4
{state}: .zero 4
    .section .text.part{number // TOGETHER},"ax",@progbits
    .p2align 4
    .type {name}, @function
"""
    if number % 2:
        yield f"    .globl {name}\n"
    yield f"{name}:\n1:  call __fentry__\n    push %rbx\n"
    yield f"    mov $.LC{number}, %rdi\n    call _printk\n"
    yield f"    incl {state}(%rip)\n    mov shared_{number % 50}(%rip), %esi\n"
    yield f"    call {_name((number + 1) % count)}\n"
    yield f"    call {_name((number + 7 * TOGETHER) % count)}\n"
    if number % 3 == 0:
        yield '2:  ud2\n    .pushsection __bug_table,"aw"\n'
        yield "    .long 2b - ., .Lfile - .\n    .word 1, 0\n    .popsection\n"
    if number % 4 == 0:
        yield "3:  .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n4:\n"
        yield '    .pushsection __jump_table,"aw"\n    .long 3b - ., 4b - .\n'
        yield "    .quad key - .\n    .popsection\n"
    yield f"    pop %rbx\n    ret\n    .size {name}, . - {name}\n"
    yield '    .section __mcount_loc,"a"\n    .quad 1b\n'


def _name(number: int) -> str:
    return f"function_{number}.isra.0" if number % 10 == 5 else f"function_{number}"
