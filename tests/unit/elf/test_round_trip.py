# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading an object and writing it back changes nothing that readelf, objdump or ld can see."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from suture.elf import writer
from suture.elf.object import (
    SHF_INFO_LINK,
    SHF_LINK_ORDER,
    SHF_RELA_LIVEPATCH,
    SHN_LIVEPATCH,
    SHT_NOBITS,
    STB_GLOBAL,
    LivepatchRelocations,
    ObjectFile,
    Symbol,
)
from tests.unit.toolchain import (
    assemble,
    compile_c,
    link,
    read,
    relocation_lines,
    section_lines,
    symbol_lines,
    tool,
)

C = r"""
static int counter = 5;
int zeroes[64];
static const char *const names[] = { "one", "two" };
extern int outside(int, const char *);
__attribute__((noinline)) static int helper(int x) { return outside(x + counter, names[x & 1]); }
int entry(int x) { return helper(x) + zeroes[x] + outside(2, "text"); }
extern int other_name(int) __attribute__((alias("entry")));
__attribute__((weak)) int overridable(void) { return outside(3, "one"); }
__attribute__((section(".init.text"))) int once(void) { return counter; }
"""

ASSEMBLY = r"""
    .text
    .type aliased, @function
    .globl aliased
aliased:
    ret
    .size aliased, . - aliased
    .set also, aliased
    .type label, @function
label:                                  # zero-size
    movl $5, variable(%rip)
    cmpb $1, variable(%rip)
    jne elsewhere
    .globl elsewhere
    .weak perhaps
    .quad perhaps
    .section ordered,"ao",@progbits,.text
    .long 1
    .bss
    .globl variable
    .type variable, @object
variable: .zero 64
    .size variable, 64
    .set number, 0x1234
    .data
    .quad .text + 1
    .quad number
"""


@pytest.fixture(params=["c", "c without sections", "assembly", "linked"])
def data(request: pytest.FixtureRequest) -> bytes:
    made = {
        "c": lambda: compile_c(C),
        "c without sections": lambda: compile_c(C, sections=False),
        "assembly": lambda: assemble(ASSEMBLY),
        "linked": lambda: link(compile_c(C), assemble(ASSEMBLY.replace("elsewhere", "entry"))),
    }
    return made[request.param]()


def test_sections_are_the_same_to_readelf(data: bytes) -> None:
    def kept(text: bytes | ObjectFile) -> list[tuple[str, str, int, str]]:
        tables = (".symtab", ".strtab", ".shstrtab")
        return sorted(line for line in section_lines(text) if line[0] not in tables)

    assert kept(read(data)) == kept(data)


def test_symbols_are_the_same_to_nm(data: bytes) -> None:
    def shown(it: bytes) -> list[str]:
        # ld -r of binutils 2.44 puts the empty .note.GNU-stack at 4; sections of an object have no
        # address (gABI: sh_addr).
        sections = re.compile(r"^[0-9a-f]+(?= [a-z] \.\S+$)", re.MULTILINE)
        return sorted(sections.sub("", tool("nm", "-aS", data=it)).splitlines())

    assert shown(writer.write(read(data))) == shown(data)


def test_code_and_relocations_are_the_same_to_objdump(data: bytes) -> None:
    def shown(it: bytes) -> list[str]:
        return tool("objdump", "-dr", "-s", data=it).splitlines()

    written = shown(writer.write(read(data)))
    assert written == shown(data)


def test_every_relocation_is_the_same_to_readelf(data: bytes) -> None:
    obj = read(data)
    for name in {section.name for section in obj.sections if section.name}:
        # Symbols keep their names but not their numbers, and readelf shows names.
        assert sorted(relocation_lines(obj, name)) == sorted(relocation_lines(data, name))


def test_reading_back_gives_the_same_value(data: bytes) -> None:
    once = read(writer.write(read(data)))
    assert writer.write(once) == writer.write(read(writer.write(once)))


def test_the_linker_takes_it(data: bytes) -> None:
    linked = tool("objdump", "-d", data=link(writer.write(read(data))))
    assert linked == tool("objdump", "-d", data=link(data))


def test_local_symbols_come_first_as_the_header_says(data: bytes) -> None:
    written = writer.write(read(data))
    headers = tool("readelf", "-SW", data=written)
    match = re.search(r"\.symtab\s+SYMTAB.*?(\d+)\s+8\n", headers)
    assert match
    lines = tool("readelf", "-sW", data=written).splitlines()
    binds = [line.split()[4] for line in lines if re.match(r"\s+\d+:", line)]
    assert binds[: int(match[1])] == ["LOCAL"] * int(match[1])
    assert "LOCAL" not in binds[int(match[1]) :]


def test_aliases_and_zero_size_symbols_stay() -> None:
    symbols = symbol_lines(read(assemble(ASSEMBLY)))
    assert symbols["aliased"][0] == symbols["also"][0]
    assert symbols["label"][1] == "0"


def test_a_section_ordered_by_another_keeps_its_link() -> None:
    obj = read(assemble(ASSEMBLY))
    index = obj.section_named("ordered")
    assert index is not None
    assert obj.sections[index].flags & SHF_LINK_ORDER
    # An empty section in front moves all numbers up by one when it is written.
    written = writer.write(replace(obj, symbols=obj.symbols))
    lines = tool("readelf", "-SW", data=written).splitlines()
    text = next(re.search(r"\[ *(\d+)\] \.text ", line) for line in lines if " .text " in line)
    ordered = next(line.split() for line in lines if " ordered " in line)
    assert text
    assert ordered[-3] == text[1]


def test_sections_without_contents_take_no_room() -> None:
    big = "static char big[1 << 20]; char *entry(void) { return big; }"
    obj = read(compile_c(big))
    bss = next(section for section in obj.sections if section.name == ".bss.big")
    assert (bss.type, bss.size, bss.data) == (SHT_NOBITS, 1 << 20, b"")
    assert len(writer.write(obj)) < 1 << 16


def test_livepatch_symbols_and_relocations_are_as_the_kernel_documents() -> None:
    obj = read(compile_c(C))
    text = obj.section_named(".text.entry")
    assert text is not None
    wanted = Symbol(".klp.sym.vmlinux.printk,0", 0, 0, 0, STB_GLOBAL, SHN_LIVEPATCH)
    moved = tuple(
        relocation._replace(symbol=len(obj.symbols)) for relocation in obj.relocations[text][:1]
    )
    group = LivepatchRelocations(".klp.rela.vmlinux..text.entry", text, moved)
    written = writer.write(replace(obj, symbols=(*obj.symbols, wanted), livepatch=(group,)))
    headers = tool("readelf", "-SW", data=written)
    line = next(line for line in headers.splitlines() if ".klp.rela.vmlinux..text.entry" in line)
    number = re.search(r"\[ *(\d+)\] \.text\.entry ", headers)
    assert number
    columns = line.split("]")[1].split()
    assert columns[1] == "RELA"
    assert columns[-4:-1][-1] == number[1]
    again = read(written)
    assert again.livepatch[0].name == group.name
    assert again.symbols[again.livepatch[0].relocations[0].symbol] == wanted
    raw = tool("readelf", "-SWt", data=written).split(".klp.rela.vmlinux..text.entry")[1]
    flags = int(re.search(r"\[([0-9a-f]{16})\]", raw)[1], 16)  # type: ignore[index]
    assert flags == SHF_RELA_LIVEPATCH | SHF_INFO_LINK | 0x2
