# SPDX-License-Identifier: GPL-2.0-or-later
"""Original and patched object file -> output object, with no target at hand: the comparison step
alone.

1. Both objects are read, and the sizes of special section entries found out (`entry_sizes`).
2. They are compared, and what changed is cut out (`suture.diff`), for a kernel of any architecture that `suture.arch` knows.
3. What stays in the kernel is looked up in a list of symbols (`suture.link.resolve.listing`), and
   the object is written.

Nothing is proved: without the shipped kernel nobody can say that the original object is what runs
there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suture.diff.changes import Changes, compare
from suture.diff.comparison import Side
from suture.diff.cut_out import cut_out
from suture.diff.omitted import LeftOut, told
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
from suture.objects.special import Entries, aliases, structs
from suture.objects.view import View


@dataclass(frozen=True, slots=True)
class Compared:
    """An output object that was written.

    :ivar functions: what it replaces; `new_name` is the global symbol under which the object has
        the new code.
    :ivar sizes: section name -> entry size in bytes that was used.
    :ivar left_out: what of the change it does without.
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
    """Compare two objects and write what changed as an object that is ready to link into a live
    patch module.

    References that only the livepatch core can resolve are undefined symbols
    ``<objname>:.klp.sym.<objname>.<name>,<sympos>``, for `suture.link.klp` to make of them what the
    kernel takes.

    :param objname: the object that they are part of: ``vmlinux`` or a module.
    :param symbols: its symbols: an ELF file, a ``System.map`` or a kallsyms listing.
    :param exports: the kernel's ``Module.symvers``.
    :param name: of the live patch.
    :param output: where to write it; ``<name>.o`` in the working directory by default.
    :param sizes: section name -> entry size in bytes, where the caller knows better than BTF and
        DWARF.
    :raises Refusal: many; each says what and why
    """
    livepatch, owner = kbuild.check_name(name), kbuild.check_name(objname, "--object")
    path = output or Path(f"{livepatch}.o")
    check_output(path)
    with step("Reading", str(symbols)):
        listed, exported = listing.read(symbols, owner), symvers.read(exports)
    with step("Comparing", f"{original} and {patched}"):
        contents = read_bytes(original), read_bytes(patched)
        objects = reader.read(contents[0], str(original)), reader.read(contents[1], str(patched))
        known = entry_sizes(objects, contents, listed.btf, sizes or {})
        before, after = (_side(obj, known) for obj in objects)
        refuse_changed_gaps(before.view, after.view)
        changes = compare(before, after)
        if changes.is_empty:
            raise Refusal(NO_CODE_CHANGE, str(patched), "no function differs")
        refuse_unhookable(changes)
        plan = FilePlan.of(changes)
        if not plan.needs_code:
            raise _nothing_left(changes, str(patched), owner)
        resolver = ListedResolver(before.view, owner, listed, exported)
        found = [resolver.replaced(unit) for unit, _ in changes.changed]
        functions = tuple(
            PatchedFunction(
                symbol.name, position, _entry_name(owner, symbol.name, position), str(patched)
            )
            for symbol, position in ((symbol, resolver.position(symbol)) for symbol in found)
        )
        cut = cut_out(plan, owner, resolver)
        if isinstance(cut, ModuleKeys):
            raise cut.refusal()
        obj, _ = klp.with_names(cut, [function.new_name for function in functions])
        write_atomic(path, writer.write(obj))
    left_out = tuple(told(part, str(patched), owner) for part in changes.left_out)
    return Compared(path, livepatch, cut, functions, known, left_out)


def entry_sizes(
    objects: tuple[ObjectFile, ObjectFile],
    contents: tuple[bytes, bytes],
    btf: bytes,
    given: Mapping[str, int],
) -> dict[str, int]:
    """The entry sizes of those special sections that the objects have: as given, else from BTF,
    else from DWARF.

    :param contents: the files of the objects.
    :param btf: contents of the kernel's ``.BTF``, or b"".
    :raises Refusal: ``entry-size-unknown``, ``types-malformed``
    """
    known = structs(objects[0].arch)
    needed = {
        section.name
        for obj in objects
        for section in obj.sections
        if section.size and section.name in known
    }
    sizes = {section: size for section, size in given.items() if section in needed}
    if btf and needed - set(sizes):
        found = struct_sizes(btf, set(known.values()), "--symbols")
        sizes = _by_section(found, known, needed) | sizes
    for data in contents:
        if needed - set(sizes):
            found = dwarf.struct_sizes(data, set(known.values()))
            sizes = _by_section(found, known, needed) | sizes
    missing = sorted(needed - set(sizes))
    if missing:
        unknown = ", ".join(f"{section} (struct {known[section]})" for section in missing)
        short = {section: alias for alias, section in aliases().items()}
        options = " ".join(f"--entry-size {short[section]}=N" for section in missing)
        raise Refusal(
            ENTRY_SIZE_UNKNOWN,
            objects[0].name,
            f"nothing says how large the entries of {unknown} are",
            remedy=f"Give them: {options}. 'pahole -s' of a kernel with debug information lists the sizes of structs.",
        )
    return sizes


def _nothing_left(changes: Changes, where: str, objname: str) -> Refusal:
    """What would have been left out is the reason, if anything was."""
    if not changes.left_out:
        return Refusal(NO_CODE_CHANGE, where, "no function differs")
    first, *rest = changes.left_out
    return first.refusal(where, objname, [part.found for part in rest])


def _by_section(
    sizes: Mapping[str, int], known: Mapping[str, str], needed: set[str]
) -> dict[str, int]:
    return {section: sizes[known[section]] for section in needed if known[section] in sizes}


def _side(obj: ObjectFile, sizes: Mapping[str, int]) -> Side:
    view = View(obj)
    return Side(view, Entries(view, sizes))


def _entry_name(objname: str, function: str, position: int) -> str:
    """A name that C can write, and that no other function of the same live patch has."""
    return klp.ENTRY + re.sub(r"\W", "_", f"{objname}_{function}_{position}", flags=re.ASCII)
