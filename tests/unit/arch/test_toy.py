# SPDX-License-Identifier: GPL-2.0-or-later
"""An architecture of one file is enough to read, compare and cut objects."""

from __future__ import annotations

from suture.diff.changes import Changes, compare
from suture.diff.comparison import Side
from suture.diff.output import Linked, OutputObject, Outside
from suture.elf import reader, writer
from suture.elf.object import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_WRITE,
    SHN_UNDEF,
    SHT_PROGBITS,
    STB_GLOBAL,
    STB_LOCAL,
    STT_FUNC,
    STT_NOTYPE,
    STT_OBJECT,
    ObjectFile,
    Relocation,
    Section,
    Symbol,
)
from suture.model import ExternalSymbol
from suture.objects.special import Entries
from suture.objects.view import Reference, ToUndefined, ToUnit, Unit, View
from suture.verify import lockstep
from tests.unit.arch.toy import (
    ADDRESS,
    CALL,
    HALVED,
    JUMP,
    LOAD_ADDRESS,
    LOAD_INDIRECT,
    NOP,
    RETURN,
    Toy,
)
from tests.unit.toolchain import select_with, tool

EMPTY = bytes(4)


def section(name: str, data: bytes, flags: int) -> Section:
    return Section(name, SHT_PROGBITS, SHF_ALLOC | flags, data, len(data), 8)


def made(body: bytes = NOP) -> bytes:
    """``first()`` calls ``outside()`` and ``second()``, which shares a section with ``third()`` and
    jumps to it; ``table`` points at ``second()``."""
    first = body + LOAD_ADDRESS + EMPTY + CALL + EMPTY + CALL + EMPTY + RETURN
    # The assembler has left no relocation here: 3 half words on.
    shared = JUMP + (3).to_bytes(4, "big") + RETURN
    sections = (
        Section("", 0, 0, b"", 0),
        section(".text.first", first, SHF_EXECINSTR),
        section(".text.shared", shared, SHF_EXECINSTR),
        section(".data.table", bytes(8), SHF_WRITE),
    )
    symbols = (
        Symbol("", 0, 0, 0, 0, SHN_UNDEF),
        Symbol("second", 0, 6, STT_FUNC, STB_LOCAL, 2),
        Symbol("third", 6, 2, STT_FUNC, STB_LOCAL, 2),
        Symbol("first", 0, len(first), STT_FUNC, STB_GLOBAL, 1),
        Symbol("table", 0, 8, STT_OBJECT, STB_GLOBAL, 3),
        Symbol("outside", 0, 0, STT_NOTYPE, STB_GLOBAL, SHN_UNDEF),
    )
    at = len(body) + 2
    # The field counts from its instruction, two bytes before: the assembler adds 2.
    references = (
        Relocation(at, HALVED, 4, 2 + 4),
        Relocation(at + 6, HALVED, 5, 2),
        Relocation(at + 12, HALVED, 1, 2),
    )
    relocations = {1: references, 3: (Relocation(0, ADDRESS, 1, 0),)}
    return writer.write(ObjectFile("toy.o", sections, symbols, relocations, machine=Toy.machine))


def view(data: bytes) -> View:
    return View(reader.read(data, "toy.o"))


def unit(of: View, name: str) -> Unit:
    return of.by_name[name][0]


def changes(before: bytes, after: bytes) -> Changes:
    old, new = view(before), view(after)
    return compare(Side(old, Entries(old, {})), Side(new, Entries(new, {})))


class Resolver:
    def defined(self, unit: Unit) -> Outside:
        return ExternalSymbol("vmlinux", unit.name, 0)

    def undefined(self, name: str) -> Outside:
        return Linked(name)


def output(before: bytes, after: bytes) -> OutputObject:
    return select_with(changes(before, after), Resolver())


def test_what_is_written_is_a_big_endian_file() -> None:
    header = tool("readelf", "-hW", data=made())
    assert "2's complement, big endian" in header
    assert "0xfeed" in header
    names = tool("readelf", "-sW", data=made())
    assert all(name in names for name in ("first", "second", "third", "table", "outside"))


def test_an_object_is_read_back_as_it_was_written() -> None:
    obj = reader.read(made(), "toy.o")
    assert writer.write(obj) == made()
    assert obj.machine == Toy.machine
    assert obj.arch.name == "toy"


def test_fields_count_from_where_the_architecture_says() -> None:
    of = view(made())
    found: list[Reference] = list(of.references(unit(of, "first")))
    assert [reference.target for reference in found] == [
        ToUnit(unit(of, "table"), 4),
        ToUndefined("outside", 0),
        ToUnit(unit(of, "second"), 0),
    ]
    assert [reference.is_call for reference in found] == [False, True, True]


def test_a_jump_without_a_relocation_is_found() -> None:
    of = view(made())
    (jump,) = of.references(unit(of, "second"))
    assert (jump.target, jump.is_branch, jump.type) == (ToUnit(unit(of, "third"), 0), True, HALVED)


def test_only_the_function_that_differs_is_changed() -> None:
    found = changes(made(), made(NOP + NOP))
    assert [after.name for _, after in found.changed] == ["first"]


def test_what_changed_is_cut_out_for_the_same_machine() -> None:
    out = output(made(), made(NOP + NOP)).obj
    assert out.machine == Toy.machine
    of = view(writer.write(out))
    targets = [reference.target for reference in of.references(unit(of, "first"))]
    assert targets == [
        ToUndefined("vmlinux:.klp.sym.vmlinux.table,0", 4),
        ToUndefined("outside", 0),
        ToUndefined("vmlinux:.klp.sym.vmlinux.second,0", 0),
    ]


def linked(load: bytes = LOAD_ADDRESS) -> bytes:
    """Code that uses an address, and calls; as linked at 0x1000."""
    return load + (0x800).to_bytes(4, "big") + CALL + (0x100).to_bytes(4, "big") + RETURN


def test_what_the_linker_rewrites_is_no_difference() -> None:
    halved = Toy.relocations.types[HALVED]
    fields = {2: halved, 8: halved}
    ours = LOAD_INDIRECT + EMPTY + CALL + (0x100).to_bytes(4, "big") + RETURN
    assert isinstance(
        lockstep.compare(Toy.decoding, ours, linked(), 0x1000, fields), lockstep.Correspondence
    )
    other = linked(b"\xc0\x0f")
    found = lockstep.compare(Toy.decoding, ours, other, 0x1000, fields)
    assert isinstance(found, lockstep.Difference)
    assert found.offset == 0
