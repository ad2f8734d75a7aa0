# SPDX-License-Identifier: GPL-2.0-or-later
"""The symbols of a kernel from any file that lists them, with what the file records of each.

- A linked ``vmlinux`` (ELF) has bindings, and ``STT_FILE`` symbols, which group the local symbols
  of one source file.
- A module (ELF, ``.ko`` or linked ``.o``) has the same for that module alone, unless it was
  stripped.
- A ``System.map`` or kallsyms listing has only nm(1)'s letters; ``/proc/kallsyms`` also has the
  loaded modules.

Symbols are in the order in which the kernel counts ``sympos``: by address in the core kernel
(``kernel/kallsyms.c: kallsyms_on_each_match_symbol()``), by symbol table in a module
(``kernel/module/kallsyms.c: module_kallsyms_on_each_symbol()``).
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from suture.elf import reader
from suture.elf.object import (
    STB_LOCAL,
    STB_WEAK,
    STT_FILE,
    STT_FUNC,
    STT_OBJECT,
    STT_SECTION,
    Section,
    Symbol,
)
from suture.errors import FILE_UNREADABLE, KALLSYMS_MALFORMED, OBJECT_NOT_LISTED, Refusal
from suture.host import files
from suture.kernel import elf64, kallsyms, modules, unpack
from suture.kernel.init_memory import BOUNDS, InitMemory
from suture.model import VMLINUX

ET_REL = 1
NO_FILE = -1


@dataclass(frozen=True, slots=True)
class ListedSymbol:
    """One symbol of a listing.

    :ivar objname: the object that holds it.
    :ivar place: 0 and an address, or section and offset in a module; equal for two names of one
        thing.
    :ivar is_global: other files can name it; None if the listing does not show that (percpu symbols
        in kallsyms).
    :ivar file: index into `Listing.files`, or `NO_FILE`.
    :ivar is_discarded: it is in memory that the kernel frees after init.
    :ivar is_weak: a definition in another file would have replaced it.
    """

    name: str
    objname: str
    place: tuple[int, int]
    is_global: bool | None
    file: int = NO_FILE
    is_discarded: bool = False
    is_weak: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """The symbols of a file.

    :ivar where: its name in messages.
    :ivar symbols: in the kernel's order, object by object.
    :ivar files: names of source files, one for each ``STT_FILE`` symbol; several files can have one
        name.
    :ivar needs: the undefined symbols of a module's file.
    :ivar knows_init: it also lists symbols that are freed after init, and marks them.
    :ivar btf: contents of the core kernel's ``.BTF``, or b"".
    """

    where: str
    symbols: Sequence[ListedSymbol]
    files: Sequence[str] = ()
    needs: frozenset[str] = frozenset()
    knows_init: bool = True
    btf: bytes = b""
    _by_name: Mapping[tuple[str, str], list[ListedSymbol]] = field(
        init=False, repr=False, compare=False
    )
    _names_of_file: Mapping[int, frozenset[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name: dict[tuple[str, str], list[ListedSymbol]] = defaultdict(list)
        of_file: dict[int, set[str]] = defaultdict(set)
        for symbol in self.symbols:
            by_name[symbol.objname, symbol.name].append(symbol)
            if symbol.file != NO_FILE:
                of_file[symbol.file].add(symbol.name)
        object.__setattr__(self, "_by_name", dict(by_name))
        object.__setattr__(
            self, "_names_of_file", {file: frozenset(names) for file, names in of_file.items()}
        )

    def named(self, objname: str, name: str) -> Sequence[ListedSymbol]:
        """Return the symbols of a name in an object, in the kernel's order."""
        return self._by_name.get((objname, name), ())

    def lists(self, objname: str) -> bool:
        """Whether it has any symbol of an object."""
        return any(symbol.objname == objname for symbol in self.symbols)

    def files_named(self, name: str) -> list[int]:
        """Return the indices of the source files of a name, without directories: the core kernel
        has several ``inode.c``."""
        return [
            index
            for index, file in enumerate(self.files)
            if file.rpartition("/")[2] == name.rpartition("/")[2]
        ]

    def names_in(self, file: int) -> frozenset[str]:
        """Return the local symbols of a source file."""
        return self._names_of_file.get(file, frozenset())


def read(path: Path, objname: str) -> Listing:
    """Read a listing of any kind; its content shows which.

    :param objname: the wanted object.  A module's file without a module's name counts as this
        module's.
    :raises Refusal: ``file-unreadable``, ``kallsyms-malformed``, ``kallsyms-not-found``,
        ``object-malformed``, ``object-unsupported``, ``object-not-listed``
    """
    where = str(path)
    data = _unpacked(files.read_bytes(path), where)
    if not data.startswith(b"\x7fELF"):
        listing = _from_lines(data, where)
    elif data[16:18] in (ET_REL.to_bytes(2, "little"), ET_REL.to_bytes(2, "big")):
        listing = _from_module(data, where, objname)
    else:
        listing = _from_vmlinux(data, path)
    if not listing.lists(objname):
        raise Refusal(OBJECT_NOT_LISTED, where, f"it has no symbols of {objname}")
    return listing


def _unpacked(data: bytes, where: str) -> bytes:
    try:
        return unpack.unpacked(data)
    except unpack.ERRORS as error:
        raise Refusal(KALLSYMS_MALFORMED, where, f"it cannot be decompressed ({error})") from error


def _from_lines(data: bytes, where: str) -> Listing:
    """Read a ``System.map`` or kallsyms listing.

    A module's position in it is not proved, so ``knows_init`` is False: after a module is loaded,
    ``/proc/kallsyms`` no longer lists its ``__init`` functions, which count in ``sympos`` while the
    core patches the module.  The core kernel's are between ``__init_begin`` and ``__init_end``:
    ``start_kernel`` is there.
    """
    found = kallsyms.parse(data, where)
    core = [symbol for symbol in found.symbols if symbol.module == VMLINUX]
    for before, after in pairwise(core):
        if after.address < before.address:
            raise Refusal(
                KALLSYMS_MALFORMED,
                where,
                f"{after.name} comes after {before.name}, which has a higher address",
                why="The kernel counts symbols of one name in the order of their addresses.",
                remedy="Sort the listing by address ('sort FILE', or 'nm -n').",
            )
    freed = InitMemory.of({s.name: s.address for s in reversed(core) if s.name in BOUNDS})
    # nm(1) writes a capital letter for a global symbol; kallsyms writes A for every percpu symbol,
    # also for the static ones.
    symbols = tuple(
        ListedSymbol(
            symbol.name,
            symbol.module,
            (0, symbol.address),
            None if symbol.type in "Aa" else symbol.type.isupper(),
            is_discarded=symbol.module == VMLINUX and freed.holds(symbol.address),
            is_weak=symbol.type in "VW",
        )
        for symbol in found.symbols
    )
    return Listing(where, symbols, knows_init=False)


def _from_module(data: bytes, where: str, objname: str) -> Listing:
    """Read a module's file.

    Its local symbols belong to the ``STT_FILE`` symbol before them.  Sections ``.init*`` are freed
    after init: ext4's ``ext4_init_fs`` is in ``.init.text``.
    """
    module = reader.read(data, where)
    named = dict(modules.modinfo(data, where)).get("name", objname)
    if objname == VMLINUX:
        raise Refusal(
            OBJECT_NOT_LISTED, where, f"it is a relocatable object, not a linked {VMLINUX}"
        )
    if named != objname:
        raise Refusal(OBJECT_NOT_LISTED, where, f"it is module {named}, not {objname}")
    symbols, names = [], []
    for symbol in module.symbols:
        if symbol.type == STT_FILE:
            names.append(symbol.name)
        elif symbol.is_defined_here and symbol.type != STT_SECTION and symbol.name:
            section = module.sections[symbol.shndx]
            if section.is_allocated:
                symbols.append(_of_module(symbol, section, objname, len(names) - 1))
    needs = frozenset(
        symbol.name for symbol in module.symbols if symbol.is_undefined and symbol.name
    )
    return Listing(where, tuple(symbols), tuple(names), needs)


def _of_module(symbol: Symbol, section: Section, objname: str, file: int) -> ListedSymbol:
    is_local = symbol.bind == STB_LOCAL
    return ListedSymbol(
        symbol.name,
        objname,
        (symbol.shndx, symbol.value),
        not is_local,
        file if is_local and symbol.type in (STT_FUNC, STT_OBJECT) else NO_FILE,
        section.name.startswith(".init"),  # kernel/module/main.c: module_init_layout_section()
        symbol.bind == STB_WEAK,
    )


def _from_vmlinux(data: bytes, path: Path) -> Listing:
    """Read a linked kernel: its symbol table, or the kallsyms in it.

    For example, the ``vmlinux`` in Debian's images has no symbol table; that of a tree built by
    ``make`` has one, where each ``c_start`` follows the ``STT_FILE`` symbol of its source file.
    """
    where = str(path)
    try:
        layout = elf64.layout(data)
        sections, entry = layout.sections, struct.Struct(layout.machine.prefix + elf64.SYMBOL)
        table = next((section for section in sections if section.type == elf64.SHT_SYMTAB), None)
        btf = next(
            (elf64.contents(data, section) for section in sections if section.name == ".BTF"), b""
        )
        if table is None and path.is_fifo():
            found = "comes through a pipe, and its symbols are those of kallsyms inside"
            raise Refusal(FILE_UNREADABLE, where, found, remedy="Give a file.")
        if table is None:
            inside = _from_lines(kallsyms.extract(path), where)
            return Listing(where, inside.symbols, knows_init=False, btf=btf)
        if table.link >= len(sections) or table.size % entry.size:
            raise elf64.Malformed("its symbol table is damaged")
        names: list[str] = []
        symbols = list(_linked_symbols(data, table, entry, sections, names))
    except elf64.Malformed as error:
        raise Refusal(KALLSYMS_MALFORMED, where, str(error)) from error
    freed = InitMemory.of({s.name: s.place[1] for s in symbols if s.name in BOUNDS})
    ordered = sorted(symbols, key=lambda symbol: symbol.place)
    marked = tuple(replace(symbol, is_discarded=freed.holds(symbol.place[1])) for symbol in ordered)
    return Listing(where, marked, tuple(names), btf=btf)


def _linked_symbols(
    data: bytes,
    table: elf64.ImageSection,
    entry: struct.Struct,
    sections: Sequence[elf64.ImageSection],
    names: list[str],
) -> Iterator[ListedSymbol]:
    """Yield the symbols of a linked kernel.

    :param names: takes the names of the source files.
    """
    strings = elf64.contents(data, sections[table.link])
    for name, info, _, index, value, _ in entry.iter_unpack(elf64.contents(data, table)):
        binding, kind = info >> 4, info & 0xF
        if kind == STT_FILE:
            names.append(elf64.string(strings, name))
        elif (
            name
            and kind != STT_SECTION
            and 0 < index < len(sections)
            and sections[index].flags & elf64.SHF_ALLOC
        ):
            is_local = binding == STB_LOCAL
            file = len(names) - 1 if is_local and kind in (STT_FUNC, STT_OBJECT) else NO_FILE
            yield ListedSymbol(
                elf64.string(strings, name),
                VMLINUX,
                (0, value),
                not is_local,
                file,
                is_weak=binding == STB_WEAK,
            )
