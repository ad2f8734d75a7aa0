# SPDX-License-Identifier: GPL-2.0-or-later
"""Changed code, and everything that it needs, cut out of the patched object.

The references of each copied range decide what else is copied:

- strings and unnamed constants are copied;
- new functions, and new or private data, are copied, with everything that they refer to;
- calls between changed functions lead to new code;
- everything else, even the address of a replaced function, is the running kernel's own.

Example: ``loop_queue_work()`` (drivers/block/loop.c) passes ``loop_workfn`` to ``INIT_WORK()``.  If
both change, the work still gets the old address: it may run after the live patch is unloaded, and
while the live patch is in force the old address leads to the new code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from suture.arch.sections import SpecialSection
from suture.diff.changes import cold_part
from suture.diff.comparison import ONCE_ONLY, anonymous_range
from suture.diff.data import holds_labels
from suture.diff.object_builder import Builder
from suture.diff.output import (
    HookCall,
    Linked,
    ModuleKeys,
    OutputObject,
    Outside,
    Replacement,
    Resolver,
    symbol_name,
)
from suture.diff.padding import padding_before
from suture.diff.placement import output_section
from suture.diff.plan import FilePlan
from suture.elf.object import (
    SHF_WRITE,
    SHN_ABS,
    SHN_UNDEF,
    SHT_NOBITS,
    STB_GLOBAL,
    STB_LOCAL,
    STT_FUNC,
    STT_NOTYPE,
    STT_OBJECT,
    Relocation,
    Symbol,
)
from suture.errors import (
    BOOT_CONSTANT_COPIED,
    INIT_REFERENCED,
    SPECIAL_REFERENCE_UNSUPPORTED,
    SYMBOL_UNSUPPORTED,
    Refusal,
)
from suture.model import VMLINUX, ExternalSymbol
from suture.objects.locals import is_cold, report
from suture.objects.special import (
    JUMP_TABLE,
    PATCHABLE,
    SpecialEntry,
    replaced,
    replacement,
)
from suture.objects.view import (
    Reference,
    ToAbsolute,
    ToAnonymous,
    ToLiteral,
    ToUndefined,
    ToUnit,
    Unit,
    View,
)

TRAMPOLINE, KEY = "__SCT__", "__SCK__"
"""Prefixes of a static call's trampoline and key (include/linux/static_call_types.h)."""


def cut_out(plan: FilePlan, objname: str, resolver: Resolver) -> OutputObject | ModuleKeys:
    """Cut the planned functions and variables out of the patched object.

    :param objname: the object that the source file belongs to.
    :return: the output object, or the static branches on keys of modules that prevent it.
    :raises Refusal: ``init-referenced``, ``section-changed``, ``symbol-unsupported``,
        ``special-reference-unsupported``, and what `resolver` raises
    """
    return _CutOut(plan, objname, resolver).run()


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copied range of the patched object; its references have to be made.

    :ivar out: its output section; `base`: its offset there.
    :ivar special: the special section that it belongs to; `entry`: the entry that it is, and
        `about`: the copied code that this is about.
    """

    section: int
    start: int
    end: int
    out: int
    base: int
    special: SpecialSection | None = None
    entry: SpecialEntry | None = None
    about: _Copy | None = None


class _CutOut:
    """Copies units one after the other, and then whatever the references of each copy need."""

    def __init__(self, plan: FilePlan, objname: str, resolver: Resolver) -> None:
        changes = plan.changes
        self._plan = plan
        self._changes = changes
        self._objname = objname
        self._resolver = resolver
        self._view: View = changes.patched.view
        self._original_of = changes.correlation.original
        self._replaced = {after: before for before, after in plan.replaced}
        self._out = Builder(self._view.obj.machine)
        arch = self._view.obj.arch
        self._types, self._unwind = arch.relocations, arch.sections.unwind
        self._alternatives = arch.sections.alternatives
        # unit -> symbol in the output
        self._copied: dict[Unit, int] = {}
        # section, start, end -> output section, offset in it
        self._pieces: dict[tuple[int, int, int], tuple[int, int]] = {}
        # section, start of a special entry -> output section, offset in it
        self._copied_entries: dict[tuple[int, int], tuple[int, int]] = {}
        self._outside: dict[str, Outside] = {}
        self._undefined: dict[str, int] = {}
        self._todo: deque[_Copy] = deque()
        self._module_keys: list[str] = []

    def run(self) -> OutputObject | ModuleKeys:
        """Copy everything that is planned, and return the output object."""
        for _, unit in (*self._plan.replaced, *self._plan.carried):
            self._copy_function(unit)
        for unit in self._plan.provided:
            if unit not in self._copied and unit.is_function:
                self._copy_function(unit)
            elif unit not in self._copied:
                self._copy_unit(unit, STT_OBJECT)
        for hook in self._changes.hooks.calls:
            if hook.function not in self._copied:
                self._copy_function(hook.function)
        pointed = list(dict.fromkeys(self._pointed()))
        for unit in pointed:
            if unit not in self._copied and unit.is_function:
                self._copy_function(unit)
            elif unit not in self._copied:
                self._copy_unit(unit, STT_OBJECT)
        while self._todo:
            copy = self._todo.popleft()
            self._make_references(copy)
            if copy.special is None and self._view.obj.sections[copy.section].is_code:
                self._copy_entries(copy)
            elif copy.entry is None:
                self._copy_hints(copy)
        if self._module_keys:
            return ModuleKeys(self._view.obj.name, tuple(self._module_keys))
        return OutputObject(
            objname=self._objname,
            obj=self._out.finish(self._view.obj.name),
            replaced=tuple(
                Replacement(before, self._copied[after]) for after, before in self._replaced.items()
            ),
            new=tuple(unit.name for unit in self._copied if self._is_new(unit)),
            outside=self._outside,
            calls=tuple(
                HookCall(hook.stage, self._copied[hook.function])
                for hook in self._changes.hooks.calls
            ),
            pointed=tuple((unit, self._copied[unit]) for unit in pointed),
        )

    def _pointed(self) -> Iterator[Unit]:
        """Yield the new units to which variables that change in memory point.

        Example: ``.open = suture_open`` in operations that ``--patch-data`` changes, where
        ``suture_open()`` is new.
        """
        for change in self._changes.data:
            for reference in self._view.references(change.after):
                match reference.target:
                    case ToUnit(unit, _) if reference.offset not in change.same_references:
                        if unit not in self._original_of:
                            yield unit

    def _is_new(self, unit: Unit) -> bool:
        return unit.is_function and not is_cold(unit.name) and unit not in self._original_of

    # --- copying

    def _copy_function(self, unit: Unit) -> int:
        """Copy a function with its ``.cold`` part, and return its symbol."""
        symbol = self._copy_unit(unit, STT_FUNC)
        cold = cold_part(self._view, unit)
        if cold is not None and cold not in self._copied:
            self._copy_unit(cold, STT_FUNC)
        return symbol

    def _copy_unit(self, unit: Unit, type: int) -> int:
        """Copy a function or variable into a section of its own, and return its symbol."""
        section = self._view.section(unit)
        room = padding_before(self._view, self._changes.patched.entries, unit)
        start = unit.start - room
        out = self._out.add_section(section, output_section(self._view, unit, room))
        if section.type == SHT_NOBITS:
            self._out.reserve(out, unit.size)
        else:
            data, fields = self._readable(unit, start)
            self._out.append(out, data)
            for field, variable in fields.items():
                self._refer_to_variable(unit, out, field, variable)
        is_provided = unit in self._plan.provided
        bind = STB_GLOBAL if is_provided else STB_LOCAL
        self._copied[unit] = self._out.add_symbol(
            Symbol(unit.name, room, unit.size, type, bind, out)
        )
        for alias in unit.aliases if is_provided else ():
            self._out.add_symbol(Symbol(alias, room, unit.size, type, bind, out))
        self._todo.append(_Copy(unit.section, start, unit.end, out, 0))
        return self._copied[unit]

    def _readable(self, unit: Unit, start: int) -> tuple[bytes, dict[int, str]]:
        """Return a unit's bytes from `start` on, with reads of variables in place of constants that
        the kernel only writes into its own code; and the fields of these reads, with the variables.

        Example: ``access_ok()`` compares with ``USER_PTR_MAX``, a placeholder in the object.

        :raises Refusal: ``boot-constant-copied``
        """
        data = self._view.section(unit).data[start : unit.end]
        constants = self._changes.patched.entries.constants
        fields = {}
        for constant in constants.within(unit.section, start, unit.end):
            arch = self._view.obj.arch.sections.boot_constants
            reading = arch.reading(constant.kind, data, constant.place - start)
            if reading is None:
                where = f"{self._view.obj.name}: {unit.name}()"
                raise Refusal(BOOT_CONSTANT_COPIED, where, f"has {constant.variable} in its code")
            end = reading.start + len(reading.code)
            data = data[: reading.start] + reading.code + data[end:]
            fields[reading.field] = constant.variable
        return data, fields

    def _refer_to_variable(self, unit: Unit, out: int, field: int, variable: str) -> None:
        """Add the relocation of a distance, from the end of its field to a variable."""
        symbol = self._constant_symbol(unit, variable)
        size = self._view.obj.arch.relocations.types[self._types.relative].size
        self._out.add_relocation(out, Relocation(field, self._types.relative, symbol, -size))

    def _constant_symbol(self, unit: Unit, variable: str) -> int:
        """Return the symbol of the running kernel's variable that holds a boot constant.

        Example: since 7.0 there is none for the cache of ``alloc_empty_file()``: only its own code
        has the address, and the compiler left out ``__filp_cache``, which nothing reads.

        :raises Refusal: ``boot-constant-copied``
        """
        units = [one for one in self._view.units if variable in (one.name, *one.aliases)]
        originals = [self._original_of[one] for one in units if one in self._original_of]
        try:
            outside = (
                self._resolver.defined(originals[0])
                if originals
                else self._resolver.undefined(variable)
            )
        except Refusal as refusal:
            where = f"{self._view.obj.name}: {unit.name}()"
            found = f"has {variable} in its code, and the kernel has it in no variable"
            raise Refusal(BOOT_CONSTANT_COPIED, where, found) from refusal
        return self._undefined_symbol(outside)

    def _copy_entries(self, copy: _Copy) -> None:
        """Copy the special section entries about copied code."""
        entries = self._changes.patched.entries
        for entry in entries.within(copy.section, copy.start, copy.end):
            if entry.special.optional and self._is_out_of_reach(entry):
                continue
            if (entry.section, entry.start) not in self._copied_entries:
                self._copy_entry(copy, entry)
        inherited = entries.in_force(copy.section, copy.start, self._unwind.places)
        if inherited is not None:
            out = self._out.pool(self._view.obj.sections[inherited.section])
            base = self._out.append(out, bytes(4))
            symbol = self._out.section_symbol(copy.out)
            self._out.add_relocation(out, Relocation(base, self._types.relative, symbol, copy.base))
            self._copy_orc(inherited)

    def _copy_entry(self, copy: _Copy, entry: SpecialEntry) -> None:
        """Copy one entry of a special section about copied code."""
        section = self._view.obj.sections[entry.section]
        out = self._out.pool(section, copy.out)
        size = entry.end - entry.start  # the last entry may lack what fills it up
        data = section.data[entry.start : entry.end].ljust(size, b"\0")
        base = self._out.append(out, data)
        if entry.special.is_hint or entry.special.name == PATCHABLE:
            # It may point to padding outside functions, so it refers to the section.
            self._point_at_copy(copy, entry, out, base)
            return
        self._copied_entries[entry.section, entry.start] = out, base
        self._todo.append(
            _Copy(entry.section, entry.start, entry.end, out, base, entry.special, entry, copy)
        )
        if entry.special.name == self._unwind.places:
            self._copy_orc(entry)

    def _copy_hints(self, copy: _Copy) -> None:
        """Copy objtool's hints about a piece of code, such as the replacement of an alternative."""
        for entry in self._changes.patched.entries.within(copy.section, copy.start, copy.end):
            if entry.special.is_hint:
                section = self._view.obj.sections[entry.section]
                out = self._out.pool(section)
                base = self._out.append(out, section.data[entry.start : entry.end])
                self._point_at_copy(copy, entry, out, base)

    def _point_at_copy(self, copy: _Copy, entry: SpecialEntry, out: int, base: int) -> None:
        """Make the only reference of a copied entry: to its place in the copy, by the section's
        symbol."""
        (relocation,) = self._view.relocations(entry.section, entry.start, entry.end)
        symbol, place = self._out.section_symbol(copy.out), copy.base + entry.place - copy.start
        self._out.add_relocation(out, Relocation(base, relocation.type, symbol, place))

    def _copy_orc(self, entry: SpecialEntry) -> None:
        """Copy the unwind entry for a place; both sections have the same order."""
        index = self._view.obj.section_named(self._unwind.entries)
        if index is None:
            raise Refusal(
                SYMBOL_UNSUPPORTED,
                self._view.obj.name,
                f"has {self._unwind.places} without {self._unwind.entries}",
            )
        section = self._view.obj.sections[index]
        count = self._view.obj.sections[entry.section].size // 4
        size = section.size // count
        position = entry.start // 4 * size
        self._out.append(self._out.pool(section), section.data[position : position + size])

    def _copy_piece(
        self, section: int, start: int, end: int, special: SpecialSection | None
    ) -> tuple[int, int]:
        """Copy unnamed contents once; all pieces of a section go to one output section.

        :return: output section and offset in it.
        """
        key = (section, start, end)
        if key not in self._pieces:
            held = self._view.obj.sections[section]
            out = self._out.pool(held)
            base = self._out.append(out, held.data[start:end], held.addralign)
            self._pieces[key] = out, base
            self._todo.append(_Copy(section, start, end, out, base, special))
        return self._pieces[key]

    # --- references

    def _make_references(self, copy: _Copy) -> None:
        references = list(self._view.references_in(copy.section, copy.start, copy.end))
        for position, reference in enumerate(references):
            is_place = copy.entry is not None and position == 0
            if reference.type in self._types.unmovable:
                where = f"{self._view.obj.name}: {self._view.obj.sections[copy.section].name}"
                jump = "a jump of one byte to another function"
                found = f"changed code has {jump} at {reference.offset:#x}"
                raise Refusal(SYMBOL_UNSUPPORTED, where, found)
            symbol, offset = self._destination(copy, reference, is_place)
            relocation = Relocation(
                copy.base + reference.offset, reference.type, symbol, offset - reference.bias
            )
            self._out.add_relocation(copy.out, relocation)

    def _destination(self, copy: _Copy, reference: Reference, is_place: bool) -> tuple[int, int]:
        """Return the output symbol that a reference is made to, and the offset from it.

        :param is_place: it is the first reference of an entry, to the code that the entry is about.
        """
        match reference.target:
            case ToLiteral(section, content, offset):
                out, base = self._out.literal(self._view.obj.sections[section], content)
                return self._out.section_symbol(out), base + offset
            case ToAnonymous(_, offset) if is_place and copy.about is not None:
                # In the middle of a piece: the ud2 of a reference count in .text..refcount.
                about = copy.about
                return self._out.section_symbol(about.out), about.base + offset - about.start
            case ToAnonymous() as target:
                return self._anonymous_destination(copy, target)
            case ToAbsolute(value):
                return self._out.add_symbol(Symbol("", 0, 0, STT_NOTYPE, STB_LOCAL, SHN_ABS)), value
            case ToUndefined(name, offset):
                return self._outside_symbol(copy, reference, self._resolver.undefined(name)), offset
            case ToUnit(unit, offset):
                symbol = self._unit_symbol(copy, unit, offset, reference, is_place)
                if self._copied.get(unit) == symbol and self._goes_by_section(unit, offset):
                    symbol, place = self._out.without_name(symbol)
                    return symbol, place + offset
                return symbol, offset

    def _goes_by_section(self, unit: Unit, offset: int) -> bool:
        """Whether objtool only understands a reference to a copy by its section's symbol, which is
        what the assembler makes of it.

        - A jump to a function's name is a tail call to it, which a jump to the ``.cold`` part or
          back from it is not (tools/objtool/check.c: add_jump_destinations()).
        - A table of labels is one only if the section is named
          (tools/objtool/arch/x86/special.c: arch_find_switch_table()).
        """
        if unit.is_function:
            return offset != 0 or is_cold(unit.name)
        return holds_labels(self._view, unit)

    def _unit_symbol(
        self, copy: _Copy, unit: Unit, offset: int, reference: Reference, is_place: bool
    ) -> int:
        """Return the symbol for a unit: its copy, or the one in the running kernel."""
        if unit.is_function:
            keeps_inside = is_place or copy.special is not None or reference.is_branch
            symbol = self._new_function(unit, offset, keeps_inside)
        else:
            symbol = self._new_variable(unit)
        return self._running_symbol(copy, unit, reference) if symbol is None else symbol

    def _new_function(self, unit: Unit, offset: int, keeps_inside: bool) -> int | None:
        """Return the symbol of new code if a reference to a function means that; else None.

        - A call, a jump or an entry means the copy: ``lo_ioctl()`` (drivers/block/loop.c) calls
          ``loop_reread_partitions()``, and both change.
        - A place inside a function means a label of the copy: the table of labels of
          ``___bpf_prog_run()`` (kernel/bpf/core.c).
        - The address of a replaced function means the running kernel's function: ``loop_workfn``
          in an ``INIT_WORK()``.
        - A new function is copied.
        - A place inside a function that stays is refused: its labels may be elsewhere.

        :param keeps_inside: the reference cannot be stored anywhere outside the live patch.
        """
        keeps_inside = keeps_inside or unit not in self._replaced
        if unit in self._copied and (keeps_inside or offset):
            return self._copied[unit]
        if unit not in self._original_of:
            return self._copy_function(unit)
        if offset:
            where = f"{self._view.obj.name}: {unit.name}()"
            found = f"changed code refers to {offset:+#x} in it, and it stays"
            raise Refusal(SYMBOL_UNSUPPORTED, where, found)
        return None

    def _new_variable(self, unit: Unit) -> int | None:
        """Return the symbol of a copied variable; None for one that the running kernel has.

        - A variable with state is shared: ``new_cpus`` of kernel/cgroup/cpuset.c.
        - A new one is copied; so is a private one, as ``__func__.29`` of ``loop.ko``, and a table
          of labels, as ``jumptable`` of kernel/bpf/core.c.
        """
        if unit in self._copied:
            return self._copied[unit]
        is_new = unit not in self._original_of
        if is_new or self._view.is_private(unit) or holds_labels(self._view, unit):
            return self._copy_unit(unit, STT_OBJECT)
        return None

    def _running_symbol(self, copy: _Copy, unit: Unit, reference: Reference) -> int:
        """Return the symbol for a unit that the running kernel has.

        Example: ``kernel_init()`` (init/main.c) is ``__ref`` and calls ``kernel_init_freeable()``,
        which is ``__init`` and no longer in memory; new code with that call is refused.

        :raises Refusal: ``init-referenced``, and what the resolver raises
        """
        original = self._original_of[unit]
        if self._changes.original.view.section(original).name.startswith(ONCE_ONLY):
            where = f"{self._view.obj.name}: {unit.name}"
            raise Refusal(INIT_REFERENCED, where, f"is in {self._view.section(unit).name}")
        return self._outside_symbol(copy, reference, self._resolver.defined(original))

    def _anonymous_destination(self, copy: _Copy, target: ToAnonymous) -> tuple[int, int]:
        """Copy the unnamed contents that a reference leads to; return symbol and offset.

        Example: the replacement of an alternative in ``.altinstr_replacement``, of which only the
        bytes of one entry are copied; or the table of a ``switch`` in ``.rodata``.
        """
        view = self._view
        section = view.obj.sections[target.section]
        entry = self._changes.patched.entries.starting_at(target.section, target.offset)
        if entry is not None and self._is_about(entry, copy):
            return self._entry_destination(copy, entry)
        if section.flags & SHF_WRITE and not report(section.name):
            place = f"{section.name}+{target.offset:#x}"
            found = "is variable data that no symbol names"
            raise Refusal(SYMBOL_UNSUPPORTED, f"{view.obj.name}: {place}", found)
        special = copy.special
        is_alternative = special is not None and special.name == self._alternatives.entries
        if copy.entry is not None and is_alternative:
            start, end = replacement(view, copy.entry, target)
        else:
            start, end = anonymous_range(view, target)
            special = special if section.name == self._alternatives.pieces else None
        out, base = self._copy_piece(target.section, start, end, special)
        return self._out.section_symbol(out), base + target.offset - start

    def _is_about(self, entry: SpecialEntry, copy: _Copy) -> bool:
        return entry.code == copy.section and copy.start <= entry.place < copy.end

    def _entry_destination(self, copy: _Copy, entry: SpecialEntry) -> tuple[int, int]:
        """Return symbol and offset of the copy of an entry to which its own code refers.

        Example: ``WARN_ONCE(size > 9, "size %d\\n", size)`` loads the address of its entry in
        ``__bug_table``, where the kernel finds the format (lib/bug.c: __report_bug()).
        """
        key = entry.section, entry.start
        if key not in self._copied_entries:
            self._copy_entry(copy, entry)
        out, base = self._copied_entries[key]
        return self._out.section_symbol(out), base

    def _keep_static_call_key(self, name: str) -> None:
        """Keep a static call's key among the symbols, where objtool looks for its name.

        See tools/objtool/check.c: create_static_call_sections().  In compiled objects
        __ADDRESSABLE() keeps it (include/linux/static_call_types.h: __static_call()).
        """
        known = any(
            symbol.is_undefined and symbol.name == name for symbol in self._view.obj.symbols
        )
        if not known or name in self._undefined:
            return
        if isinstance(self._resolver.undefined(name), Linked):
            self._outside[name] = Linked(name)
            self._undefined[name] = self._out.add_symbol(
                Symbol(name, 0, 0, STT_NOTYPE, STB_GLOBAL, SHN_UNDEF)
            )

    def _outside_symbol(self, copy: _Copy, reference: Reference, outside: Outside) -> int:
        """Return the undefined symbol for something that the running kernel or a module has."""
        if isinstance(outside, ExternalSymbol) and outside.objname != VMLINUX:
            self._refuse_early_reference(copy, reference, outside)
        return self._undefined_symbol(outside)

    def _undefined_symbol(self, outside: Outside) -> int:
        name = symbol_name(outside, self._objname)
        self._outside[name] = outside
        if name not in self._undefined:
            self._undefined[name] = self._out.add_symbol(
                Symbol(name, 0, 0, STT_NOTYPE, STB_GLOBAL, SHN_UNDEF)
            )
            if name.startswith(TRAMPOLINE):
                self._keep_static_call_key(f"{KEY}{name.removeprefix(TRAMPOLINE)}")
        return self._undefined[name]

    def _is_out_of_reach(self, entry: SpecialEntry) -> bool:
        """Whether an entry that the kernel reads at load refers to a symbol of a module."""
        for reference in self._view.references_in(entry.section, entry.start, entry.end):
            match reference.target:
                case ToUndefined(name):
                    outside = self._resolver.undefined(name)
                case ToUnit(unit) if (
                    not unit.is_function and (original := self._original_of.get(unit)) is not None
                ):
                    outside = self._resolver.defined(original)
                case _:
                    continue
            if isinstance(outside, ExternalSymbol) and outside.objname != VMLINUX:
                return True
        return False

    def _refuse_early_reference(
        self, copy: _Copy, reference: Reference, outside: ExternalSymbol
    ) -> None:
        """Refuse references to a module's symbols that the kernel reads at load.

        The core resolves them when the module is loaded, which may be much later.  Example: the
        entry in ``__jump_table`` for ``nft_counters_enabled`` of ``nf_tables.ko``, in new code of
        ``nft_do_chain()``.  Alternatives overwrite code at load, so that a later relocation of the
        old instruction would destroy the new one.

        :raises Refusal: ``special-reference-unsupported``; keys of modules are collected instead
        """
        special = copy.special.name if copy.special is not None and copy.special.reads_early else ""
        place = copy.start + reference.offset
        for entry in self._changes.patched.entries.within(copy.section, copy.start, copy.end):
            if entry.special.name == self._alternatives.entries:
                start, end = replaced(self._view, entry)
                special = entry.special.name if start <= place < end else special
        if not special:
            return
        found = (
            f"changed code has an entry in {special} that refers to {outside.name} "
            f"in module {outside.objname}"
        )
        if special == JUMP_TABLE:
            self._module_keys.append(found)
        else:
            raise Refusal(SPECIAL_REFERENCE_UNSUPPORTED, self._view.obj.name, found)
