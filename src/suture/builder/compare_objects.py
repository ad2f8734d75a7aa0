# SPDX-License-Identifier: GPL-2.0-or-later
"""Original and patched object file -> output object, without a target: the comparison step alone.

1. Both objects are read, and the sizes of special section entries determined (`entry_sizes`).
2. The objects are compared, and changed code is cut out (`suture.diff`), for a kernel of any
   architecture that `suture.arch` knows.
3. References to code that stays in the kernel are looked up in a list of symbols
   (`suture.link.resolve.listing`), and the object is written.

Nothing is proved: without the shipped kernel, the original object need not be the running code.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from suture.builder.differences import nothing_left
from suture.diff.changes import compare
from suture.diff.comparison import Side
from suture.diff.cut_out import cut_out
from suture.diff.omitted import LeftOut
from suture.diff.output import ModuleKeys, OutputObject
from suture.diff.plan import FilePlan
from suture.diff.unsized_code import refuse_changed_gaps
from suture.diff.users import refuse_unhookable
from suture.elf import dwarf, reader, writer
from suture.elf.object import ObjectFile
from suture.errors import ENTRY_SIZE_UNKNOWN, NO_CODE_CHANGE, Refusal
from suture.host.files import check_output, read_bytes, write_atomic
from suture.host.progress import step
from suture.kernel import listing, symvers
from suture.kernel.types import struct_sizes
from suture.link import kbuild, klp
from suture.link.resolve.listing import ListedResolver
from suture.model import PatchedFunction
from suture.objects.special import aliases, regular_sizes, structs
from suture.objects.view import Unit, View


@dataclass(frozen=True, slots=True)
class Compared:
    """An output object that was written to a file.

    :ivar functions: the functions that it replaces; `new_name` is the new code's global symbol in
        the object.
    :ivar sizes: section name -> entry size in bytes that was used.
    :ivar left_out: parts of the change that it leaves out.
    """

    path: Path
    name: str
    output: OutputObject
    functions: tuple[PatchedFunction, ...]
    sizes: Mapping[str, int]
    left_out: tuple[LeftOut, ...]


def compare_objects(
    original: Path,
    patched: Path,
    *,
    objname: str,
    symbols: Path,
    exports: Path,
    name: str,
    output: Path | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Compared:
    """Compare two objects, and write changed code as an object to link into a live patch module.

    References that only the livepatch core can resolve are undefined symbols
    ``<objname>:.klp.sym.<objname>.<name>,<sympos>``, which `suture.link.klp` turns into the form
    that the kernel reads.

    :param objname: the object that the files are part of: ``vmlinux`` or a module.
    :param symbols: its symbols: an ELF file, a ``System.map`` or a kallsyms listing.
    :param exports: the kernel's ``Module.symvers``.
    :param name: the live patch's name.
    :param output: where to write it; ``<name>.o`` in the working directory by default.
    :param sizes: section name -> entry size in bytes; overrides BTF and DWARF.
    :raises Refusal: many; each says what and why
    """
    livepatch = kbuild.usable_name(name)
    owner = kbuild.usable_name(objname, "--object", "Give vmlinux or the name of a module.")
    path = output or Path(f"{livepatch}.o")
    check_output(path)
    with step("Reading", str(symbols)):
        listed, exported = listing.read(symbols, owner), symvers.read(exports)
    with step("Comparing", f"{original} and {patched}"):
        contents = read_bytes(original), read_bytes(patched)
        objects = reader.read(contents[0], str(original)), reader.read(contents[1], str(patched))
        used_sizes = entry_sizes(objects, contents, listed.btf, sizes or {})
        before, after = (Side.of(obj, used_sizes) for obj in objects)
        refuse_changed_gaps(before.view, after.view)
        # Nobody has kept the numbers of the lines below a change, as Suture's own build does.
        changes = compare(before, after, lines_count=False)
        if changes.is_empty:
            raise Refusal(NO_CODE_CHANGE, str(patched), "no function differs")
        refuse_unhookable(changes)
        plan = FilePlan.of(changes)
        if not plan.needs_code:
            parts = [(str(patched), owner, part) for part in changes.left_out]
            raise nothing_left(parts, [str(patched)])
        resolver = ListedResolver(before.view, owner, listed, exported)
        functions = tuple(
            _patched_function(resolver, unit, owner, str(patched)) for unit, _ in changes.changed
        )
        cut = cut_out(plan, owner, resolver)
        if isinstance(cut, ModuleKeys):
            raise cut.refusal()
        obj, _ = klp.with_names(cut, [function.new_name for function in functions])
        write_atomic(path, writer.write(obj))
    left_out = tuple(part.for_user(str(patched), owner) for part in changes.left_out)
    return Compared(path, livepatch, cut, functions, used_sizes, left_out)


def _patched_function(
    resolver: ListedResolver, unit: Unit, objname: str, source: str
) -> PatchedFunction:
    """Look a replaced function up in the list of symbols."""
    symbol = resolver.replaced(unit)
    position = resolver.position(symbol)
    entry = _entry_name(objname, symbol.name, position)
    return PatchedFunction(symbol.name, position, entry, source)


def entry_sizes(
    objects: tuple[ObjectFile, ObjectFile],
    contents: tuple[bytes, bytes],
    btf: bytes,
    given: Mapping[str, int],
) -> dict[str, int]:
    """Return the entry size of each special section that the objects have: the given one, else that
    of BTF, else that of DWARF, else the one by which their relocations are regular.

    :param contents: the contents of the two files.
    :param btf: contents of the kernel's ``.BTF``, or b"".
    :raises Refusal: ``entry-size-unknown``, ``types-malformed``
    """
    known = structs(objects[0].arch)
    all_sections = chain(objects[0].sections, objects[1].sections)
    needed = {section.name for section in all_sections if section.size and section.name in known}
    sizes = {section: size for section, size in given.items() if section in needed}
    if btf and needed - set(sizes):
        by_struct = struct_sizes(btf, set(known.values()), "--symbols")
        sizes = _by_section(by_struct, known, needed) | sizes
    for data in contents:
        if needed - set(sizes):
            by_struct = dwarf.struct_sizes(data, set(known.values()))
            sizes = _by_section(by_struct, known, needed) | sizes
    if needed - set(sizes):
        sizes = _by_relocations(objects, needed) | sizes
    missing = sorted(needed - set(sizes))
    if missing:
        unknown = ", ".join(f"{section} (struct {known[section]})" for section in missing)
        short = {section: alias for alias, section in aliases().items()}
        options = " ".join(f"--entry-size {short[section]}=N" for section in missing)
        raise Refusal(
            ENTRY_SIZE_UNKNOWN,
            objects[0].name,
            f"nothing says how large the entries of {unknown} are",
            remedy=f"Give them: {options}. "
            "'pahole -s' of a kernel with debug information lists the sizes of structs.",
        )
    return sizes


def _by_relocations(objects: Iterable[ObjectFile], needed: set[str]) -> dict[str, int]:
    """Return the sizes that the relocations of the objects show, where they do not differ."""
    found: dict[str, set[int]] = defaultdict(set)
    for obj in objects:
        for section, size in regular_sizes(View(obj)).items():
            found[section].add(size)
    return {
        section: min(several)
        for section, several in found.items()
        if section in needed and len(several) == 1
    }


def _by_section(
    sizes: Mapping[str, int], known: Mapping[str, str], needed: set[str]
) -> dict[str, int]:
    return {section: sizes[known[section]] for section in needed if known[section] in sizes}


def _entry_name(objname: str, function: str, position: int) -> str:
    """Return a C identifier that no other function of the same live patch has."""
    return klp.ENTRY + re.sub(r"\W", "_", f"{objname}_{function}_{position}", flags=re.ASCII)
