# SPDX-License-Identifier: GPL-2.0-or-later
"""What a relocated field refers to, against the assembler and the linker."""

from __future__ import annotations

import re

import pytest

from suture.arch.x86_64.relocations import TYPES
from suture.objects.view import Reference, ToUnit, View
from tests.unit.toolchain import assemble, link, read, tool

INSTRUCTIONS = [
    ("movl $5, variable+8(%rip)", 8, False),
    ("movq $5, variable(%rip)", 0, False),
    ("movw $5, variable+2(%rip)", 2, False),
    ("cmpb $1, variable+3(%rip)", 3, False),
    ("cmpl $1, variable+4(%rip)", 4, False),
    ("testl $0x12345678, variable(%rip)", 0, False),
    ("imull $100000, variable(%rip), %eax", 0, False),
    ("shldl $3, %eax, variable(%rip)", 0, False),
    ("movl variable+16(%rip), %eax", 16, False),
    ("lock incl variable+4(%rip)", 4, False),
    ("incl %gs:variable+4(%rip)", 4, False),
    ("movq $variable+12, %rax", 12, False),
    ("movl $variable, variable+8(%rip)", None, False),
    ("movl variable(,%rax,8), %ecx", 0, False),
    ("movabsq $variable+5, %rax", 5, False),
    ("call *variable+8(%rip)", 8, False),
    ("jmp *variable+8(%rip)", 8, False),
    ("call variable", 0, True),
    ("jmp variable", 0, True),
    ("jne variable+4", 4, True),
]

TEMPLATE = """
    .section .text.function,"ax"
    .globl function
    .type function, @function
function:
    nop
    {instruction}
    ret
    .size function, . - function
    .data
    .globl variable
    .type variable, @object
variable: .zero 64
    .size variable, 64
"""


def references(instruction: str) -> list[Reference]:
    view = View(read(assemble(TEMPLATE.format(instruction=instruction))))
    return list(view.references(view.by_name["function"][0]))


@pytest.mark.parametrize(("instruction", "offset", "is_branch"), INSTRUCTIONS)
def test_the_offset_meant_is_found_whatever_follows_the_field(
    instruction: str, offset: int | None, is_branch: bool
) -> None:
    found = references(instruction)
    targets = [reference.target for reference in found]
    assert all(isinstance(target, ToUnit) and target.unit.name == "variable" for target in targets)
    offsets = sorted(target.offset for target in targets if isinstance(target, ToUnit))
    assert offsets == ([0, 8] if offset is None else [offset])
    assert {reference.is_branch for reference in found} == {is_branch}


@pytest.mark.parametrize(("instruction", "offset", "is_branch"), INSTRUCTIONS)
def test_applying_a_relocation_gives_what_the_linker_gives(
    instruction: str, offset: int | None, is_branch: bool
) -> None:
    data = assemble(TEMPLATE.format(instruction=instruction))
    places = ("-Ttext=0x10000", "-Tdata=0x20000", "-e0", "--no-relax")
    linked = tool("objdump", "-s", "-j", ".text", data=link(data, options=places))
    dump = [line for line in linked.splitlines() if line.startswith(" 1")]
    wanted = bytes.fromhex("".join("".join(line[7:42].split()) for line in dump))
    obj = read(data)
    index = obj.section_named(".text.function")
    assert index is not None
    ours = bytearray(obj.sections[index].data)
    for relocation in obj.relocations[index]:
        kind = TYPES[relocation.type]
        value = 0x20000 + obj.symbols[relocation.symbol].value + relocation.addend
        value -= 0x10000 + relocation.offset if kind.pc_relative else 0
        kind.write(ours, relocation.offset, "little", value)
    assert ours == wanted


def test_fields_are_signed_where_the_psabi_says_so() -> None:
    minus_two = (2**32 - 2).to_bytes(4, "little")
    assert TYPES[2].read(minus_two, 0, "little") == -2
    assert TYPES[11].read(minus_two, 0, "little") == -2
    assert TYPES[10].read(minus_two, 0, "little") == 2**32 - 2
    data = bytearray(8)
    TYPES[10].write(data, 0, "little", -1)
    assert data == b"\xff" * 4 + bytes(4)


@pytest.mark.parametrize("number", sorted(set(TYPES) - {0}))
def test_type_names_are_readelfs(number: int) -> None:
    directive = {
        1: ".quad x",
        2: ".long x - .",
        4: "jmp x",
        10: ".long x",
        11: "movq $x, %rax",
        15: ".byte x - .",
        24: ".quad x - .",
    }
    text = tool("readelf", "-rW", data=assemble(f".text\n{directive[number]}\n"))
    assert re.search(r"R_X86_64_\w+", text)[0] == TYPES[number].name  # type: ignore[index]
