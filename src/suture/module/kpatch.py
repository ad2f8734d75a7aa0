# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules made for kpatch's own core, and the objects that its comparison step leaves: what they
say they replace.

Both have tables of C structures in sections ``.kpatch.*``, with relocations where pointers stand:

- ``.kpatch.funcs`` (``struct kpatch_patch_func``): new code, the old function's name, object,
  address and size;
- ``.kpatch.dynrelas`` of a module (``struct kpatch_patch_dynrela``), or ``.kpatch.relocations`` and
  ``.kpatch.symbols`` of an intermediate object: references that the core filled in when it loaded
  the module.  The places they fill have no relocations any more;
- ``.kpatch.callbacks.*`` and ``.kpatch.hooks.*``: functions to call, each with its object.

The structures have changed over the years; where their pointers stand tells which shape a file has.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from suture.elf.object import ObjectFile, Relocation
from suture.errors import KPATCH_OBJECT_MALFORMED, Refusal
from suture.model import CallbackKind

FUNCTIONS, DYNRELAS = ".kpatch.funcs", ".kpatch.dynrelas"
RELOCATIONS, SYMBOLS = ".kpatch.relocations", ".kpatch.symbols"
CALLS = (".kpatch.callbacks.", ".kpatch.hooks.")

HOOKS = {
    ".kpatch.hooks.load": CallbackKind.PRE_PATCH,
    ".kpatch.hooks.unload": CallbackKind.POST_UNPATCH,
}
"""From before there were callbacks."""

LONGEST_NAME = 512  # include/linux/kallsyms.h: KSYM_NAME_LEN

Place = tuple[int, int]
"""Section index and offset in it."""


@dataclass(frozen=True, slots=True)
class OldFunction:
    """An entry of ``.kpatch.funcs``.

    :ivar new: where the new code is.
    :ivar address: of the old function, as the kernel was linked; 0 where that is not known (in
        modules).
    :ivar size: of the old function in bytes, or 0.
    :ivar sympos: as ``struct klp_func.old_sympos``; None where the file is older than that.
    """

    objname: str
    name: str
    new: Place
    address: int
    size: int
    sympos: int | None


@dataclass(frozen=True, slots=True)
class Dynrela:
    """A reference that kpatch's core fills in.

    :ivar place: what it fills.
    :ivar type: of the relocation; `addend` likewise.
    :ivar objname: the object with which it is filled in.
    :ivar owner: the object that the symbol is in; "" for one that is looked up among exported
        symbols.
    :ivar address: of the symbol, as the kernel was linked, or 0.
    :ivar sympos: as in `OldFunction`.
    """

    place: Place
    type: int
    addend: int
    objname: str
    owner: str
    name: str
    address: int
    sympos: int | None


@dataclass(frozen=True, slots=True)
class ToCall:
    """A callback of a module for kpatch's own core.

    :ivar section: which says when; `function`: where the code is.
    """

    section: str
    function: Place
    objname: str

    @property
    def kind(self) -> CallbackKind | None:
        """The callback that it is today; None where the section is none of kpatch's."""
        called = self.section.removeprefix(CALLS[0])
        return HOOKS.get(self.section) or next(
            (kind for kind in CallbackKind if kind.value == called), None
        )


@dataclass(frozen=True, slots=True)
class KpatchObject:
    """The tables of a module for kpatch's own core."""

    functions: tuple[OldFunction, ...]
    dynrelas: tuple[Dynrela, ...]
    calls: tuple[ToCall, ...]


def is_kpatch_object(obj: ObjectFile) -> bool:
    """It has the table by which kpatch's core knows what to replace."""
    return obj.section_named(FUNCTIONS) is not None


def read_kpatch(obj: ObjectFile) -> KpatchObject:
    """Read the tables of a module for kpatch's own core.

    :raises Refusal: ``kpatch-object-malformed``
    """
    functions = tuple(_functions(_Table(obj, FUNCTIONS)))
    if obj.section_named(DYNRELAS) is not None:
        dynrelas = tuple(_dynrelas(_Table(obj, DYNRELAS)))
    else:
        dynrelas = tuple(_relocations(_Table(obj, RELOCATIONS), _Table(obj, SYMBOLS)))
    names = sorted({section.name for section in obj.sections if section.name.startswith(CALLS)})
    calls = tuple(call for name in names for call in _calls(_Table(obj, name)))
    return KpatchObject(functions, dynrelas, calls)


class _Table:
    """A section that holds an array of structures; empty where the object has no such section."""

    def __init__(self, obj: ObjectFile, name: str) -> None:
        self.obj = obj
        self.name = name
        index = obj.section_named(name)
        self.data = obj.sections[index].data if index is not None else b""
        self._pointers: dict[int, Relocation] = {}
        for relocation in obj.relocations.get(index, ()) if index is not None else ():
            if relocation.type != obj.arch.relocations.address:
                raise self.malformed(
                    f"has a relocation of type {relocation.type} at {relocation.offset:#x}"
                )
            self._pointers[relocation.offset] = relocation

    def entries(self, size: int) -> range:
        """The offsets of entries of `size` bytes; kpatch's linker script leaves a word of padding
        at the end."""
        if len(self.data) % size not in (0, 8) or any(
            at >= len(self.data) // size * size for at in self._pointers
        ):
            raise self.malformed(
                f"has {len(self.data)} bytes, not a multiple of its {size}-byte entries"
            )
        return range(0, len(self.data) // size * size, size)

    def second_pointer(self) -> int | None:
        """Offset in the first entry; None in an empty table."""
        offsets = sorted(self._pointers)
        if not offsets:
            return None
        if offsets[0] != 0 or len(offsets) < 2:
            raise self.malformed("does not begin with a pointer")
        return offsets[1]

    def place(self, offset: int) -> Place:
        """Where a pointer leads."""
        relocation = self._pointers.get(offset)
        if relocation is None:
            raise self.malformed(f"has no pointer at {offset:#x}")
        symbol = self.obj.symbols[relocation.symbol]
        if not symbol.is_defined_here:
            raise self.malformed(
                f"has a pointer at {offset:#x} to {symbol.name or 'nothing'}, "
                "which is not in the file"
            )
        place = symbol.shndx, symbol.value + relocation.addend
        if not 0 <= place[1] < self.obj.sections[symbol.shndx].size:
            raise self.malformed(
                f"has a pointer at {offset:#x} that leads out of "
                f"{self.obj.sections[symbol.shndx].name}"
            )
        return place

    def text(self, offset: int) -> str:
        """The string that a pointer leads to."""
        section, start = self.place(offset)
        data = self.obj.sections[section].data
        end = data.find(b"\0", start, start + LONGEST_NAME)
        if end <= start:
            raise self.malformed(f"has a pointer at {offset:#x} that leads to no name")
        try:
            return data[start:end].decode("ascii")
        except UnicodeDecodeError as error:
            raise self.malformed(f"has a pointer at {offset:#x} that leads to no name") from error

    def numbers(self, offset: int, form: str) -> tuple[int, ...]:
        """Read numbers from an entry.

        :param form: as `struct` has it, without the byte order.
        """
        return struct.unpack_from(f"{self.obj.machine.prefix}{form}", self.data, offset)

    def malformed(self, found: str) -> Refusal:
        """Return the refusal of a table that cannot be read."""
        return Refusal(KPATCH_OBJECT_MALFORMED, f"{self.obj.name}: {self.name}", found)


def _functions(table: _Table) -> Iterator[OldFunction]:
    """``new_addr, new_size, old_addr, old_size, [sympos,] name, objname``, eight bytes each."""
    second = table.second_pointer()
    if second not in (None, 32, 40):
        raise table.malformed(f"has its second pointer at {second:#x}")
    name = second or 32
    for entry in table.entries(name + 16):
        address, size, sympos = table.numbers(entry + 16, "QQQ")
        yield OldFunction(
            objname=table.text(entry + name + 8),
            name=table.text(entry + name),
            new=table.place(entry),
            address=address,
            size=size,
            sympos=sympos if name == 40 else None,
        )


def _dynrelas(table: _Table) -> Iterator[Dynrela]:
    """``dest, src, type, [sympos,] name, objname``, eight bytes each, then ``int external,
    addend``."""
    second = table.second_pointer()
    if second not in (None, 24, 32):
        raise table.malformed(f"has its second pointer at {second:#x}")
    name = second or 24
    for entry in table.entries(name + 24):
        address, kind, sympos = table.numbers(entry + 8, "QQQ")
        external, addend = table.numbers(entry + name + 16, "ii")
        if external not in (0, 1):
            raise table.malformed(f"has a flag at {entry + name + 16:#x} that is neither 0 nor 1")
        objname = table.text(entry + name + 8)
        yield Dynrela(
            place=table.place(entry),
            type=kind,
            addend=addend,
            objname=objname,
            owner="" if external else objname,
            name=table.text(entry + name),
            address=address,
            sympos=sympos if name == 32 else None,
        )


def _relocations(table: _Table, symbols: _Table) -> Iterator[Dynrela]:
    """``struct kpatch_relocation`` and the ``struct kpatch_symbol`` that it points to, 40 bytes
    each."""
    size = 40
    of_symbol = symbols.entries(size)
    entries = table.entries(size)
    long_addend = _has_long_addend(table, entries)
    for entry in entries:
        if long_addend:
            kind, external, addend = table.numbers(entry + 8, "Iiq")
        else:
            kind, addend, external = table.numbers(entry + 8, "Iii")
        section, symbol = table.place(entry + 32)
        if table.obj.sections[section].name != SYMBOLS or symbol not in of_symbol:
            raise table.malformed(
                f"has a pointer at {entry + 32:#x} that leads to no entry of {SYMBOLS}"
            )
        address, sympos = symbols.numbers(symbol, "QQ")
        yield Dynrela(
            place=table.place(entry),
            type=kind,
            addend=addend,
            objname=table.text(entry + 24),
            owner="" if external else symbols.text(symbol + 32),
            name=symbols.text(symbol + 24),
            address=address,
            sympos=sympos,
        )


def _has_long_addend(table: _Table, entries: Sequence[int]) -> bool:
    """``int external; long addend`` in place of the older ``int addend, external``, in entries of
    the same size."""
    later = all(table.numbers(entry + 12, "i")[0] in (0, 1) for entry in entries)
    older = all(table.numbers(entry + 16, "II") in ((0, 0), (1, 0)) for entry in entries)
    if later == older and any(
        table.numbers(entry + 12, "i") != table.numbers(entry + 16, "i") for entry in entries
    ):
        raise table.malformed("has entries in neither of kpatch's two layouts, or in both")
    return later


def _calls(table: _Table) -> Iterator[ToCall]:
    for entry in table.entries(16):
        yield ToCall(table.name, table.place(entry), table.text(entry + 8))
