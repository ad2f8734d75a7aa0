# SPDX-License-Identifier: GPL-2.0-or-later
"""The units of a patch by what reaches them: code of the live patch, or only code that is left out.

A live patch brings what it replaces, what its callbacks call, and what that needs.  ``__init`` code
of the patch is left out, and so is what only that code uses: a callback that it registers, a table
that it hands to a subsystem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from suture.diff.changes import Changes, cold_part
from suture.diff.omitted import OmittedPart, Reason
from suture.errors import NO_CODE_CHANGE
from suture.model import CallbackKind
from suture.objects.locals import base, is_cold
from suture.objects.once_only import is_once_only
from suture.objects.view import Reference, ToUndefined, ToUnit, Unit

INITCALLS = (".initcall", ".con_initcall")
"""Prefixes of the sections that name the functions to call at boot (include/linux/init.h)."""

OPTIONS = (".init.setup", "__param")
"""Sections with the options of the command line and of modules (include/linux/init.h: __setup(),
include/linux/moduleparam.h).  An option may always be absent, so the code works without it."""

KNOBS = (
    *("register_sysctl", "__register_sysctl", "register_net_sysctl"),
    *("debugfs_create_", "sysfs_create_", "proc_create", "__proc_create", "device_create_file"),
)
"""Beginnings of the names of functions that offer a variable to user space, which need not set
it: its initial value is in force until then."""

ONLY_LEFT_OUT = Reason(NO_CODE_CHANGE, *2 * ("only code that is left out uses it",))


class PatchedUnit(NamedTuple):
    """A unit of the patched object of a source file."""

    source: str
    unit: Unit


@dataclass(frozen=True, slots=True)
class Mention:
    """A reference from one unit of the patch.

    :ivar unit: the function or variable that refers.
    :ivar target: the unit that is meant, in whichever file of the patch; None for all else.
    :ivar is_entry: an entry of a special section makes it, such as that of a static branch.
    """

    unit: PatchedUnit
    reference: Reference
    target: PatchedUnit | None
    is_entry: bool


class Reach:
    """What reaches the units of the patched objects of all files.

    :param files: source file -> what the patch changes in it.
    """

    def __init__(self, files: Mapping[str, Changes]) -> None:
        self._files = files
        self._mentions: dict[PatchedUnit, tuple[Mention, ...]] = {}

    @property
    def files(self) -> Mapping[str, Changes]:
        """Source file -> what the patch changes in it."""
        return self._files

    def is_new(self, one: PatchedUnit) -> bool:
        """Whether the original object has no such unit."""
        return one.unit not in self._files[one.source].correlation.original

    @cached_property
    def live(self) -> frozenset[PatchedUnit]:
        """The code that the live patch brings, and the data that comes along with it."""
        roots = [*self._of_callbacks()]
        for source, file in self._files.items():
            roots += (PatchedUnit(source, after) for _, after in file.changed)
            roots += (PatchedUnit(source, change.after) for change in file.data)
        return self._closure(roots, lambda mention: self._comes_along(mention.target))

    @cached_property
    def called(self) -> frozenset[PatchedUnit]:
        """The callbacks that run before any new code does, and what they use of the live patch."""
        roots = self._of_callbacks(CallbackKind.PRE_PATCH)
        return self._closure(roots, lambda mention: mention.target in self.live)

    @cached_property
    def at_boot(self) -> frozenset[PatchedUnit]:
        """Changed and new ``__init`` code and data, and what only that reaches of the patch."""
        handlers = {target for one in self._option_entries() for target in self._targets(one)}
        roots = [one for one in self._boot_roots() if one not in handlers]
        return self._closure(roots, lambda m: self._is_left_new(m.target) and not self.is_knob(m))

    @cached_property
    def optional(self) -> frozenset[PatchedUnit]:
        """The same for options of the command line, and for what is offered to user space."""
        roots = list(self._option_entries())
        handlers = {target for one in roots for target in self._targets(one)}
        roots += (one for one in self._boot_roots() if one in handlers)
        for one in self.at_boot:
            roots += (m.target for m in self.mentions(one) if m.target and self.is_knob(m))
        left = [one for one in roots if self.is_left(one)]
        return self._closure(left, lambda m: self._is_left_new(m.target)) - self.at_boot

    def _is_left_new(self, one: PatchedUnit | None) -> bool:
        return self._comes_along(one) and one not in self.live

    def is_left(self, one: PatchedUnit) -> bool:
        """Whether a unit is new, or once-only, and the live patch does not bring it."""
        section = self._files[one.source].patched.view.section(one.unit)
        return one not in self.live and (self.is_new(one) or is_once_only(section))

    def is_knob(self, mention: Mention) -> bool:
        """Whether code hands the target to a function that offers it to user space."""
        callee = self.callee(mention)
        return callee is not None and callee.startswith(KNOBS)

    def callee(self, mention: Mention) -> str | None:
        """Return the function that is called next after code has taken an address, or None."""
        if not mention.unit.unit.is_function or mention.reference.is_branch:
            return None
        obj = self._files[mention.unit.source].patched.view.obj
        thunks = obj.arch.effects.convention.pointer_thunks
        for other in self.mentions(mention.unit):
            later = other.reference.offset > mention.reference.offset and not other.is_entry
            if later and other.reference.is_branch:
                match other.reference.target:
                    case ToUndefined(name):
                        return None if name.startswith(thunks) else name
                    case ToUnit(unit) if unit != mention.unit.unit:
                        return base(unit.name)
        return None

    def mentions(self, one: PatchedUnit) -> tuple[Mention, ...]:
        """Return all references of a unit, those of its entries in special sections included."""
        if one not in self._mentions:
            self._mentions[one] = tuple(self._find_mentions(one))
        return self._mentions[one]

    def _find_mentions(self, one: PatchedUnit) -> Iterator[Mention]:
        side = self._files[one.source].patched
        view, unit = side.view, one.unit
        for reference in view.references(unit):
            yield Mention(one, reference, self._meant(one.source, reference), False)
        if not view.section(unit).is_code:
            return
        for entry in side.entries.within(unit.section, unit.start, unit.end):
            references = list(view.references_in(entry.section, entry.start, entry.end))
            for reference in references[1:]:
                yield Mention(one, reference, self._meant(one.source, reference), True)

    def _meant(self, source: str, reference: Reference) -> PatchedUnit | None:
        match reference.target:
            case ToUnit(unit):
                return PatchedUnit(source, unit)
            case ToUndefined(name):
                return self._globals.get(name)
        return None

    @cached_property
    def _globals(self) -> Mapping[str, PatchedUnit]:
        """The global functions and variables of all files, by name."""
        found = {}
        for source, file in self._files.items():
            for unit in file.patched.view.units:
                if not unit.is_local:
                    found.update(dict.fromkeys(unit.names, PatchedUnit(source, unit)))
        return found

    def _targets(self, one: PatchedUnit) -> list[PatchedUnit]:
        return [mention.target for mention in self.mentions(one) if mention.target is not None]

    def _comes_along(self, one: PatchedUnit | None) -> bool:
        if one is None:
            return False
        view = self._files[one.source].patched.view
        return self.is_new(one) or view.is_private(one.unit)

    def _of_callbacks(self, kind: CallbackKind | None = None) -> Iterator[PatchedUnit]:
        for source, file in self._files.items():
            for hook in file.hooks.calls:
                if kind is None or hook.stage.kind is kind:
                    yield PatchedUnit(source, hook.function)

    def _boot_roots(self) -> Iterator[PatchedUnit]:
        """Yield new and changed ``__init`` code, its data, and functions of new initcalls."""
        for source, file in self._files.items():
            view = file.patched.view
            changed = {after for _, after in file.once_only}
            for unit in view.units:
                name = view.section(unit).name
                if name.startswith(".init.") and not name.startswith(OPTIONS):
                    one = PatchedUnit(source, unit)
                    if not unit.is_function or unit in changed or self.is_new(one):
                        yield one
            for index, section in enumerate(view.obj.sections):
                if section.name.startswith(INITCALLS):
                    for reference in view.references_in(index, 0, section.size):
                        target = self._meant(source, reference)
                        if target is not None and self._is_left_new(target):
                            yield target

    def _option_entries(self) -> Iterator[PatchedUnit]:
        for source, file in self._files.items():
            view = file.patched.view
            for unit in view.units:
                if view.section(unit).name.startswith(OPTIONS):
                    yield PatchedUnit(source, unit)

    def _closure(
        self, roots: Iterable[PatchedUnit], follows: Callable[[Mention], bool]
    ) -> frozenset[PatchedUnit]:
        """Return the roots and what they reach.

        :param follows: whether a mention leads on.
        """
        seen = set(roots)
        todo = list(seen)
        while todo:
            one = todo.pop()
            found = [
                mention.target
                for mention in self.mentions(one)
                if mention.target is not None and follows(mention)
            ]
            view = self._files[one.source].patched.view
            cold = cold_part(view, one.unit) if one.unit.is_function else None
            if cold is not None:
                found.append(PatchedUnit(one.source, cold))
            todo += (new for new in found if new not in seen)
            seen.update(found)
        return frozenset(seen)


def unreached_functions(reach: Reach) -> Iterator[PatchedUnit]:
    """Yield the new functions that only code that is left out uses."""
    for one in sorted((reach.at_boot | reach.optional) - reach.live, key=_order):
        section = reach.files[one.source].patched.view.section(one.unit)
        is_plain = one.unit.is_function and not is_cold(one.unit.name)
        if is_plain and section.is_code and not is_once_only(section) and reach.is_new(one):
            yield one


def _order(one: PatchedUnit) -> tuple[str, int, int]:
    return one.source, one.unit.section, one.unit.start


def unreached_parts(reach: Reach) -> Iterator[tuple[str, OmittedPart]]:
    """Yield such functions as parts that are left out, each with its source file."""
    for source, unit in unreached_functions(reach):
        section = reach.files[source].patched.view.section(unit).name
        what = f"the new function {base(unit.name)}()"
        yield source, OmittedPart(what, section, ONLY_LEFT_OUT)
