# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy what changed, and all that it needs, out of the patched object.

What a copied range refers to decides what comes along:

- strings and unnamed constants are copied;
- new functions and new or private data are copied, and what they need in turn;
- calls between changed functions stay in the live patch;
- everything else, the address of a replaced function included, stays the running kernel's own.  (A
  pointer to new code that is stored somewhere would outlive the live patch; the old address leads
  to the new code while it is in force.)
"""

from __future__ import annotations

from collections import deque
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
)
from suture.diff.padding import lead
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
    INIT_REFERENCED,
    SPECIAL_REFERENCE_UNSUPPORTED,
    SYMBOL_UNSUPPORTED,
    Refusal,
)
from suture.model import VMLINUX, ExternalSymbol
from suture.objects.locals import is_cold
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
"""A static call's names (include/linux/static_call_types.h)."""


def cut_out(plan: FilePlan, objname: str, resolver: Resolver) -> OutputObject | ModuleKeys:
    """Cut the planned functions and variables out of the patched object.

    :param objname: the object that the source file belongs to.
    :return: the output object, or the static branches on keys of modules that stand in the way.
    :raises Refusal: ``init-referenced``, ``section-changed``, ``symbol-unsupported``,
        ``special-reference-unsupported``, and what `resolver` raises
    """
    return _CutOut(plan, objname, resolver).run()


@dataclass(frozen=True, slots=True)
class _Copy:
    """A range of the patched object that went to offset `base` of output section `out`; its
    references are to be made.

    :ivar special: whose entry it is, where it is one.
    """

    section: int
    start: int
    end: int
    out: int
    base: int
    special: SpecialSection | None = None
    entry: SpecialEntry | None = None


class _CutOut:
    """Copies units one after the other; each copy's references say what has to come along."""

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
        self._copied: dict[Unit, int] = {}  # unit -> symbol
        self._pieces: dict[
            tuple[int, int, int], tuple[int, int]
        ] = {}  # range -> output section, base
        self._outside: dict[str, Outside] = {}
        self._undefined: dict[str, int] = {}
        self._todo: deque[_Copy] = deque()
        self._module_keys: list[str] = []

    def run(self) -> OutputObject | ModuleKeys:
        for _, unit in (*self._plan.replaced, *self._plan.carried):
            self._copy_function(unit)
        for unit in self._plan.provided:
            if unit not in self._copied:
                self._copy_function(unit) if unit.is_function else self._copy_unit(unit, STT_OBJECT)
        for hook in self._changes.hooks.calls:
            if hook.function not in self._copied:
                self._copy_function(hook.function)
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
        )

    def _is_new(self, unit: Unit) -> bool:
        return unit.is_function and not is_cold(unit.name) and unit not in self._original_of

    # --- copying

    def _copy_function(self, unit: Unit) -> int:
        symbol = self._copy_unit(unit, STT_FUNC)
        cold = cold_part(self._view, unit)
        if cold is not None and cold not in self._copied:
            self._copy_unit(cold, STT_FUNC)
        return symbol

    def _copy_unit(self, unit: Unit, type: int) -> int:
        section = self._view.section(unit)
        room = lead(self._view, self._changes.patched.entries, unit)
        start = unit.start - room
        out = self._out.add_section(section, output_section(self._view, unit, room))
        if section.type == SHT_NOBITS:
            self._out.reserve(out, unit.size)
        else:
            self._out.append(out, section.data[start : unit.end])
        is_provided = unit in self._plan.provided
        bind = STB_GLOBAL if is_provided else STB_LOCAL
        self._copied[unit] = self._out.add_symbol(
            Symbol(unit.name, room, unit.size, type, bind, out)
        )
        for alias in unit.aliases if is_provided else ():
            self._out.add_symbol(Symbol(alias, room, unit.size, type, bind, out))
        self._todo.append(_Copy(unit.section, start, unit.end, out, 0))
        return self._copied[unit]

    def _copy_entries(self, copy: _Copy) -> None:
        """The special section entries about code that was copied."""
        entries = self._changes.patched.entries
        for entry in entries.within(copy.section, copy.start, copy.end):
            if entry.special.optional and self._is_out_of_reach(entry):
                continue
            section = self._view.obj.sections[entry.section]
            out = self._out.pool(section, copy.out)
            base = self._out.append(out, section.data[entry.start : entry.end])
            if entry.special.is_hint or entry.special.name == PATCHABLE:
                # It may point where no function is, and is about a place in a section whatever has
                # a name there.
                self._point(copy, entry, out, base)
                continue
            self._todo.append(
                _Copy(entry.section, entry.start, entry.end, out, base, entry.special, entry)
            )
            if entry.special.name == self._unwind.places:
                self._copy_orc(entry)
        inherited = entries.in_force(copy.section, copy.start, self._unwind.places)
        if inherited is not None:
            out = self._out.pool(self._view.obj.sections[inherited.section])
            base = self._out.append(out, bytes(4))
            symbol = self._out.section_symbol(copy.out)
            self._out.add_relocation(out, Relocation(base, self._types.relative, symbol, copy.base))
            self._copy_orc(inherited)

    def _copy_hints(self, copy: _Copy) -> None:
        """What objtool has to know of a piece, such as the replacement of an alternative."""
        for entry in self._changes.patched.entries.within(copy.section, copy.start, copy.end):
            if entry.special.is_hint:
                section = self._view.obj.sections[entry.section]
                out = self._out.pool(section)
                base = self._out.append(out, section.data[entry.start : entry.end])
                self._point(copy, entry, out, base)

    def _point(self, copy: _Copy, entry: SpecialEntry, out: int, base: int) -> None:
        """Let a copied entry that refers to its place alone refer to it in the copy, by the
        section's symbol."""
        (relocation,) = self._view.relocations(entry.section, entry.start, entry.end)
        symbol, place = self._out.section_symbol(copy.out), copy.base + entry.place - copy.start
        self._out.add_relocation(out, Relocation(base, relocation.type, symbol, place))

    def _copy_orc(self, entry: SpecialEntry) -> None:
        """There is one entry for each place, in the same order."""
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
        """Unnamed contents; pieces of one section are collected in one.

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
                found = f"changed code has a jump of one byte to another function at {reference.offset:#x}"
                raise Refusal(SYMBOL_UNSUPPORTED, where, found)
            symbol, offset = self._destination(copy, reference, is_place)
            relocation = Relocation(
                copy.base + reference.offset, reference.type, symbol, offset - reference.bias
            )
            self._out.add_relocation(copy.out, relocation)

    def _destination(self, copy: _Copy, reference: Reference, is_place: bool) -> tuple[int, int]:
        """:return: symbol index in the output, and offset from it."""
        match reference.target:
            case ToLiteral(section, content, offset):
                out, base = self._out.literal(self._view.obj.sections[section], content)
                return self._out.section_symbol(out), base + offset
            case ToAnonymous() as target:
                return self._anonymous(copy, target)
            case ToAbsolute(value):
                return self._out.add_symbol(Symbol("", 0, 0, STT_NOTYPE, STB_LOCAL, SHN_ABS)), value
            case ToUndefined(name, offset):
                return self._reach(copy, reference, self._resolver.undefined(name)), offset
            case ToUnit(unit, offset):
                symbol = self._unit(copy, unit, offset, reference, is_place)
                # As the assembler does.  A jump to a function by its name is a tail call to
                # objtool, and not one to the .cold part or back from it (tools/objtool/check.c:
                # add_jump_destinations()).
                if (
                    unit.is_function
                    and self._copied.get(unit) == symbol
                    and (offset or is_cold(unit.name))
                ):
                    symbol, place = self._out.without_name(symbol)
                    return symbol, place + offset
                return symbol, offset

    def _unit(
        self, copy: _Copy, unit: Unit, offset: int, reference: Reference, is_place: bool
    ) -> int:
        original = self._original_of.get(unit)
        if unit.is_function:
            stays_inside = (
                is_place
                or copy.special is not None
                or reference.is_branch
                or unit not in self._replaced
            )
            # What leads into the middle of a function means a label in it, not its address.
            if unit in self._copied and (stays_inside or offset):
                return self._copied[unit]
            if original is None:
                return self._copy_function(unit)
            if offset:
                where = f"{self._view.obj.name}: {unit.name}()"
                raise Refusal(
                    SYMBOL_UNSUPPORTED,
                    where,
                    f"changed code refers to {offset:+#x} in it, and it stays",
                )
        elif unit in self._copied:
            return self._copied[unit]
        elif original is None or self._view.is_private(unit) or holds_labels(self._view, unit):
            return self._copy_unit(unit, STT_OBJECT)
        if original is None or self._changes.original.view.section(original).name.startswith(
            ONCE_ONLY
        ):
            where = f"{self._view.obj.name}: {unit.name}"
            raise Refusal(INIT_REFERENCED, where, f"is in {self._view.section(unit).name}")
        return self._reach(copy, reference, self._resolver.defined(original))

    def _anonymous(self, copy: _Copy, target: ToAnonymous) -> tuple[int, int]:
        view = self._view
        section = view.obj.sections[target.section]
        if section.flags & SHF_WRITE:
            place = f"{section.name}+{target.offset:#x}"
            raise Refusal(
                SYMBOL_UNSUPPORTED,
                f"{view.obj.name}: {place}",
                "is variable data that no symbol names",
            )
        special = copy.special
        if (
            copy.entry is not None
            and copy.special is not None
            and copy.special.name == self._alternatives.entries
        ):
            start, end = replacement(view, copy.entry, target)
        else:
            start, end = anonymous_range(view, target)
            special = special if section.name == self._alternatives.pieces else None
        out, base = self._copy_piece(target.section, start, end, special)
        return self._out.section_symbol(out), base + target.offset - start

    def _keep_key(self, name: str) -> None:
        """Let objtool find a static call's key, by which the kernel knows the call, among the
        object's symbols.

        It looks for the name (tools/objtool/check.c: create_static_call_sections()); in what the
        compiler makes, __ADDRESSABLE() keeps it (include/linux/static_call_types.h:
        __static_call()).
        """
        known = any(
            symbol.is_undefined and symbol.name == name for symbol in self._view.obj.symbols
        )
        if (
            known
            and name not in self._undefined
            and isinstance(self._resolver.undefined(name), Linked)
        ):
            self._outside[name] = Linked(name)
            self._undefined[name] = self._out.add_symbol(
                Symbol(name, 0, 0, STT_NOTYPE, STB_GLOBAL, SHN_UNDEF)
            )

    def _reach(self, copy: _Copy, reference: Reference, outside: Outside) -> int:
        name = outside.name if isinstance(outside, Linked) else f"{self._objname}:{outside}"
        if isinstance(outside, ExternalSymbol) and outside.objname != VMLINUX:
            self._refuse_early(copy, reference, outside)
        self._outside[name] = outside
        if name not in self._undefined:
            self._undefined[name] = self._out.add_symbol(
                Symbol(name, 0, 0, STT_NOTYPE, STB_GLOBAL, SHN_UNDEF)
            )
            if name.startswith(TRAMPOLINE):
                self._keep_key(f"{KEY}{name.removeprefix(TRAMPOLINE)}")
        return self._undefined[name]

    def _is_out_of_reach(self, entry: SpecialEntry) -> bool:
        """An entry that the kernel acts on at load refers to a symbol that a module has."""
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

    def _refuse_early(self, copy: _Copy, reference: Reference, outside: ExternalSymbol) -> None:
        """A module's symbols are resolved when it is there, which may be long after special
        sections were acted on.

        Alternatives overwrite code at load: a relocation of what was there before would destroy
        what is there then.
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
