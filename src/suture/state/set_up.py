# SPDX-License-Identifier: GPL-2.0-or-later
"""Variables that only code sets up that the live patch leaves out, and that its new code uses.

``__init`` code has run, or runs as it was.  Example: ``proc_version_init()`` (fs/proc/version.c)
allocates a new ``adv_text``, and ``version_proc_show()`` prints it: in the live patch it is NULL.
So is a cache that ``kmem_cache_create()`` would have made, and so is the number that
``register_pernet_subsys()`` would have put where ``pernet_operations.id`` points.

A warning is enough where the new code may do without: where it stores to the variable itself, for
it may set it up at first use; where an option of the command line or a file in /proc/sys, /sys or
debugfs would set it, for nobody need use that; and where the running code reads the variable too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from suture.arch.decoding import CodeFields
from suture.arch.effects import Access
from suture.diff.changes import Changes
from suture.diff.stores import VariableUse, variable_uses
from suture.elf.object import SHF_WRITE, WORD
from suture.errors import STATE_NOT_SET_UP, Finding, Level
from suture.objects.locals import DATA, base
from suture.objects.once_only import is_once_only
from suture.objects.view import ToUndefined, ToUnit, Unit, View
from suture.state.places import NO_PLACES, Place, Places
from suture.state.reach import KNOBS, Mention, PatchedUnit, Reach

Variable = PatchedUnit | str
"""A variable of a file of the patch, or the name of one that another file defines."""

_SETS_UP = re.compile(r"(^|_)(re)?(init|register|create|setup|alloc|add|insert|enable|attach)")
"""Parts of the names of functions that set an object up: ``__init_waitqueue_head()``."""

_HARMLESS = re.compile(
    # include/linux/mutex.h, spinlock_api_smp.h, rwsem.h, semaphore.h, wait.h, printk.h; with
    # PREEMPT_RT also spinlock_rt.h and rwlock_rt.h
    r"(mutex|(_raw|rt)_(spin|read|write)|rt_mutex)_(try)?(un)?lock\w*"
    r"|(down|up)(_(read|write|interruptible|killable|trylock)\w*)?"
    r"|__wake_up\w*|_?v?printk\w*"
    r"|(\w*_)?(unregister|destroy|k?free|remove|cancel|flush)(_\w*)?"
)
"""Functions that set nothing up."""


@dataclass(frozen=True, slots=True)
class _Use:
    """One use of a variable by code or data.

    :ivar by: the function or variable.
    :ivar access: reading, storing, or taking the address.
    :ivar offset: the first byte that is used; `size`: how many, 0 for an unknown number.
    :ivar reads: a store that may use the old value.
    :ivar is_zero: a store of zero; `is_self`: of the variable's own address, as INIT_LIST_HEAD().
    :ivar callee: the function that is given the address.
    """

    by: PatchedUnit
    access: Access
    offset: int
    size: int
    reads: bool = False
    is_zero: bool = False
    is_self: bool = False
    callee: str | None = None

    def overlaps(self, other: _Use) -> bool:
        """Whether two uses may be of the same bytes."""
        if not self.size or not other.size:
            return True
        return self.offset < other.offset + other.size and other.offset < self.offset + self.size

    def __str__(self) -> str:
        called = base(self.by.unit.name)
        if not self.by.unit.is_function:
            return f"{called} holds its address"
        match self.access:
            case Access.READ:
                return f"{called}() reads it"
            case Access.STORE:
                return f"{called}() stores to it"
        return f"{called}() gives its address to {self.callee or 'a function'}" + (
            "()" if self.callee else ""
        )


def unset_state(reach: Reach, places: Places = NO_PLACES) -> Iterator[Finding]:
    """Find each variable that code of the live patch uses and only left-out code sets up
    (``state-not-set-up``).

    :param places: finds the lines of the uses.
    """
    fills, optional = _uses(reach, reach.at_boot), _uses(reach, reach.optional)
    candidates = fills.keys() | optional.keys()
    if not candidates:
        return
    live = _uses(reach, reach.live, candidates)
    called = _uses(reach, reach.called, candidates)
    for variable in sorted(candidates & live.keys(), key=_name):
        if any(use.access is not Access.READ for use in called.get(variable, ())):
            continue  # a callback of the live patch sets it up
        of_boot = _new_fills(reach, variable, fills.get(variable, ()))
        sets_up = [use for use in of_boot if not (use.callee or "").startswith(KNOBS)]
        may_set = [use for use in of_boot if use not in sets_up]
        may_set += _new_fills(reach, variable, optional.get(variable, ()))
        if not sets_up and not may_set:
            continue
        finding = _finding(reach, variable, sets_up, may_set, live[variable], places)
        if finding is not None:
            yield finding


def _finding(
    reach: Reach,
    variable: Variable,
    sets_up: Sequence[_Use],
    may_set: Sequence[_Use],
    live: Sequence[_Use],
    places: Places,
) -> Finding | None:
    fills = sets_up or may_set
    readers = [use for use in live if _needs(reach, variable, use, fills)]
    if not readers:
        return None
    selves = {fill for fill in fills if fill.is_self or _may_be_list_head(variable, fill, fills)}
    lazy = [use for use in live if any(_sets_likewise(use, fill, fill in selves) for fill in fills)]
    warned = lazy or not sets_up or _is_used_already(reach, variable, readers)
    warned = warned or _is_uncertain(reach, variable)
    first, reader = fills[0], readers[0]
    name = _name(variable)
    said = [f"{use}, and is left out{_at(places, use, name)}" for use in fills]
    said += [f"{use}{_at(places, use, name)}" for use in readers]
    said += [
        f"{use} in the live patch, perhaps early enough{_at(places, use, name)}" for use in lazy
    ]
    by, to = base(first.by.unit.name), base(reader.by.unit.name)
    return Finding(
        STATE_NOT_SET_UP,
        name,
        f"{_place(places, reader, name)}: {to}{'()' if reader.by.unit.is_function else ''}",
        f"uses {name}, which only {by}{'()' if first.by.unit.is_function else ''} of "
        f"{first.by.source} sets up, and that is left out",
        evidence=tuple(dict.fromkeys(said)),
        level=Level.WARN if warned else Level.REFUSE,
    )


def _place(places: Places, use: _Use, name: str) -> Place:
    """Return the line of a use."""
    by = base(use.by.unit.name)
    if not use.by.unit.is_function:
        return places.of_name(use.by.source, by)
    return places.of(use.by.source, by, rf"\b{re.escape(name)}\b")


def _at(places: Places, use: _Use, name: str) -> str:
    """Return the line of a use in brackets; "" where it is not known."""
    place = _place(places, use, name)
    return f" ({place})" if place.line else ""


def _name(variable: Variable) -> str:
    return variable if isinstance(variable, str) else base(variable.unit.name)


# --- uses


def _uses(
    reach: Reach, units: Iterable[PatchedUnit], wanted: Iterable[Variable] | None = None
) -> Mapping[Variable, list[_Use]]:
    """Return the uses of variables by some units of the patch.

    :param wanted: the variables that matter; None for all.
    """
    found: dict[Variable, list[_Use]] = defaultdict(list)
    chosen = None if wanted is None else frozenset(wanted)
    for one in sorted(units, key=lambda one: (one.source, one.unit.section, one.unit.start)):
        view = reach.files[one.source].patched.view
        if view.section(one.unit).name.startswith("__param"):
            continue  # what is said of a new parameter says it
        code = view.data(one.unit) if view.section(one.unit).is_code else b""
        fields = view.obj.arch.decoding.fields(code)
        for mention in reach.mentions(one):
            variable = _variable(reach, mention)
            if variable is not None and (chosen is None or variable in chosen):
                found[variable].append(_use(reach, view, mention, fields))
    return found


def _variable(reach: Reach, mention: Mention) -> Variable | None:
    """Return the variable that is meant, if it has state."""
    if mention.reference.is_branch:
        return None
    target = mention.target
    if target is None:
        undefined = mention.reference.target
        return undefined.name if isinstance(undefined, ToUndefined) else None
    view = reach.files[target.source].patched.view
    section = view.section(target.unit)
    has_state = (
        not target.unit.is_function
        and section.flags & SHF_WRITE
        and section.name.startswith(DATA)
        and not is_once_only(section)
        and not view.is_private(target.unit)
    )
    return target if has_state else None


def _use(reach: Reach, view: View, mention: Mention, fields: CodeFields) -> _Use:
    one, reference = mention.unit, mention.reference
    offset = getattr(reference.target, "offset", 0)
    if mention.is_entry:
        return _Use(one, Access.READ, offset, 0)
    if not one.unit.is_function:
        return _Use(one, Access.ADDRESS, offset, 0)
    field = fields.at(reference.offset)
    code = view.data(one.unit)[field.start : field.end]
    effects = view.obj.arch.effects
    access, size = effects.access(code, reference.offset - field.start)
    if access is not Access.STORE:
        return _Use(one, access, offset, size, callee=reach.callee(mention))
    stored = effects.stored(view.data(one.unit), field.start)
    others = [
        other.target
        for other in reach.mentions(one)
        if other is not mention
        and not other.is_entry
        and field.start <= other.reference.offset < field.end
    ]
    is_zero = stored.is_zero and not others
    return _Use(one, access, offset, size, stored.reads, is_zero, mention.target in others)


# --- what sets a variable up


def _new_fills(reach: Reach, variable: Variable, uses: Sequence[_Use]) -> list[_Use]:
    """Return the uses that set a variable up in a way in which nothing did before the patch."""
    return [
        use
        for use in uses
        if _is_fill(reach, variable, use) and not _was_filled(reach, variable, use)
    ]


def _is_fill(reach: Reach, variable: Variable, use: _Use) -> bool:
    if use.access is Access.READ:
        return False
    if isinstance(variable, str):
        return use.access is Access.STORE
    view = reach.files[variable.source].patched.view
    if use.access is Access.STORE:
        value = view.data(variable.unit)[max(use.offset, 0) :][: use.size]
        return not (use.is_zero and not any(value))
    if not use.by.unit.is_function or use.callee is None or _SETS_UP.search(use.callee):
        return not (use.callee and _HARMLESS.fullmatch(use.callee))
    # Of a lock that its definition sets up, __init code may make use as any other code does.
    is_set_up = any(view.data(variable.unit)) or any(view.references(variable.unit))
    return not is_set_up and not _HARMLESS.fullmatch(use.callee)


def _was_filled(reach: Reach, variable: Variable, use: _Use) -> bool:
    """Whether the original code set an existing variable up in the same way."""
    if isinstance(variable, str):
        return any(_original_stores(file, variable) for file in reach.files.values())
    file = reach.files[variable.source]
    before = file.correlation.original.get(variable.unit)
    if before is None:
        return False
    view = file.original.view
    if use.access is Access.STORE:
        within = range(use.offset, use.offset + use.size) if use.size else None
        return bool(variable_uses(view, before, within)[VariableUse.STORE])
    return use.offset in _addresses(view, before)


def _original_stores(file: Changes, name: str) -> bool:
    """Whether original code of a file stores to a variable that another file defines."""
    view = file.original.view
    access = view.obj.arch.effects.access
    for unit in view.units:
        for reference in view.references(unit) if view.section(unit).is_code else ():
            target = reference.target
            is_meant = isinstance(target, ToUndefined) and target.name == name
            if is_meant and access(view.data(unit), reference.offset)[0] is Access.STORE:
                return True
    return False


def _addresses(view: View, variable: Unit) -> frozenset[int]:
    """Return the offsets of a variable that code or data of an object refers to."""
    found = set()
    for unit in view.units:
        for reference in view.references(unit):
            match reference.target:
                case ToUnit(target, offset) if target == variable:
                    found.add(offset)
    return frozenset(found)


# --- what needs it


def _needs(reach: Reach, variable: Variable, use: _Use, fills: Sequence[_Use]) -> bool:
    """Whether a use in the live patch may find what one of the fills would have left there."""
    if use.access is Access.STORE and not use.reads:
        return False
    if not isinstance(variable, str) and reach.is_new(variable):
        return True
    if use.access is not Access.ADDRESS:
        return any(fill.overlaps(use) for fill in fills)
    is_same = any(fill.offset == use.offset and fill.access is Access.ADDRESS for fill in fills)
    return is_same or use.offset not in set(_original_offsets(reach, variable, use))


def _original_offsets(reach: Reach, variable: Variable, use: _Use) -> Iterator[int]:
    """Yield the offsets of a variable that the original of a function refers to."""
    file = reach.files[use.by.source]
    original = file.correlation.original
    before = original.get(use.by.unit)
    if before is None:
        return
    meant = None if isinstance(variable, str) else original.get(variable.unit)
    names = (variable,) if isinstance(variable, str) else variable.unit.names
    for reference in file.original.view.references(before):
        match reference.target:
            case ToUnit(unit, offset) if unit == meant:
                yield offset
            case ToUndefined(name, offset) if name in names:
                yield offset


def _is_used_already(reach: Reach, variable: Variable, readers: Sequence[_Use]) -> bool:
    """Whether the running code reads the same place, so that it can do without what is new."""
    if not isinstance(variable, str) and reach.is_new(variable):
        return False
    return all(use.offset in set(_original_offsets(reach, variable, use)) for use in readers)


def _is_uncertain(reach: Reach, variable: Variable) -> bool:
    """Whether code of other files may have set a variable up."""
    if isinstance(variable, str):
        return True
    return not variable.unit.is_local and not reach.is_new(variable)


def _may_be_list_head(variable: Variable, fill: _Use, fills: Sequence[_Use]) -> bool:
    """Whether a store may be of the variable's own address, which a register holds meanwhile."""
    is_wide = not isinstance(variable, str) and variable.unit.size >= 2 * WORD
    return is_wide and any(
        (other.by, other.access, other.offset) == (fill.by, Access.ADDRESS, fill.offset)
        for other in fills
    )


def _sets_likewise(use: _Use, fill: _Use, is_self: bool) -> bool:
    """Whether code of the live patch sets a variable up as left-out code does.

    ``if (!cache) cache = kmem_cache_create(...)`` does.  ``list_add(entry, &list)`` stores to the
    list too, but reads it first: only INIT_LIST_HEAD() stores its own address.

    :param is_self: left-out code stores the variable's own address.
    """
    if fill.access is Access.STORE:
        is_store = use.access is Access.STORE and not use.reads and use.overlaps(fill)
        return is_store and use.is_self == is_self
    same = use.access is Access.ADDRESS and use.offset == fill.offset
    return same and use.callee is not None and use.callee == fill.callee
