# SPDX-License-Identifier: GPL-2.0-or-later
"""Variables with a changed initial value, and which of them a live patch can change in memory.

A variable may be changed (`--patch-data`) if it still holds the value that the kernel was built
with, and if nothing but the live patch writes it while the live patch is in force.  That is true
for memory that is read-only once the kernel has booted, and for a static variable whose changed
words no code writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain

from suture.diff.comparison import Comparison, is_once_only, masked
from suture.diff.keep_data import reasons_not_to_keep
from suture.diff.omitted import BY_AUTHOR, OmittedPart
from suture.diff.sections import rule_for
from suture.diff.stores import VariableUse, variable_uses
from suture.elf.object import SHF_WRITE, WORD
from suture.errors import DATA_CHANGED, DATA_UNKEEPABLE, DATA_UNPATCHABLE, Refusal
from suture.objects.locals import base
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

RELOCATED_CONSTANTS = ".data.rel.ro"
"""The prefix of sections of constants with addresses in them, which are writable in the object."""

READ_ONLY_LATER = (".data..ro_after_init", RELOCATED_CONSTANTS)
"""Sections that are mapped read-only after init, although they are writable in the object
(include/linux/cache.h)."""

WRITABLE = (".data..read_mostly", ".data..cacheline_aligned", ".data", ".bss")
"""Sections of ordinary variables."""

PLACED_FOR_SPEED = (".data..read_mostly", ".data..ro_after_init")
"""Sections with two dots that hold ordinary variables; ``.data..percpu`` does not."""

FREED = "which the kernel freed after boot or module load"
NAMELESS = "which no symbol names"
ELSEWHERE = "which is elsewhere in the running kernel's code"


@dataclass(frozen=True, slots=True)
class DataRequest:
    """The author's decisions about variables, by name.

    :ivar patch: variables that are to change in memory (--patch-data).
    :ivar keep: variables that keep their old value (--keep-data).
    """

    patch: Collection[str] = ()
    keep: Collection[str] = ()


NO_DATA = DataRequest()


@dataclass(frozen=True, slots=True)
class DataChange:
    """A variable that changes in memory while the live patch is in force.

    :ivar before: the variable in the original object; `after`: in the patched one.
    :ivar same_references: offsets at which both refer to the same thing.
    :ivar words: offsets of the machine words that change, if it stays writable; None for one that
        is read-only after init, which is compared and written as a whole.
    """

    before: Unit
    after: Unit
    same_references: frozenset[int]
    words: frozenset[int] | None


def changed_data(
    comparison: Comparison,
    request: DataRequest,
    used: Collection[Unit],
    ignored: Collection[str] = (),
) -> tuple[tuple[DataChange, ...], tuple[Unit, ...]]:
    """Find the variables with another initial value; refuse those that the author did not name.

    Example: a fix adds an entry to ``struct ctl_table kern_table[]`` (kernel/sysctl.c).
    sysctl_init_bases() registered that table at boot, so new code has no effect on it.  Leaving the
    change out could be half a fix, so it is refused until the author decides.

    :param used: units that new code of the live patch refers to.
    :param ignored: names of sections that the patch asks to ignore.
    :return: the variables that change in memory, and the patched ones that stay as they are.
    :raises Refusal: ``data-changed``, ``data-unpatchable``, ``data-unkeepable``
    """
    changed, kept = [], []
    view = comparison.patched.view
    for before, after in _changed_variables(comparison):
        if view.section(after).name in ignored:
            continue
        where = f"{view.obj.name}: {base(after.name)}"
        words = differing_words(comparison, before, after) if before.size == after.size else ()
        unpatchable = next(_reasons_not_to_patch(comparison, before, after), None)
        unkeepable = next(reasons_not_to_keep(comparison, before, after, words, used), None)
        if written_names(after) & set(request.patch):
            if unpatchable is not None:
                raise Refusal(DATA_UNPATCHABLE, where, unpatchable)
            changed.append(_data_change(comparison, before, after))
        elif written_names(after) & set(request.keep):
            if unkeepable is not None:
                raise Refusal(DATA_UNKEEPABLE, where, unkeepable)
            kept.append(after)
        else:
            raise _undecided(comparison, before, after, unpatchable, unkeepable)
    return tuple(changed), tuple(kept)


def _data_change(comparison: Comparison, before: Unit, after: Unit) -> DataChange:
    stays_writable = is_writable(comparison.original.view, before)
    words = differing_words(comparison, before, after) if stays_writable else None
    return DataChange(before, after, same_references(comparison, before, after), words)


def ignored_data(comparison: Comparison, ignored: Collection[str]) -> tuple[OmittedPart, ...]:
    """Return the changed variables in sections that the patch asks to ignore.

    :param ignored: names of sections.
    """
    view = comparison.patched.view
    parts = []
    for _, after in _changed_variables(comparison) if ignored else ():
        section = view.section(after).name
        if section in ignored:
            what = f"the changed variable {base(after.name)}"
            parts.append(OmittedPart(what, section, BY_AUTHOR))
    return tuple(parts)


def written_names(unit: Unit) -> set[str]:
    """Return the names of a variable in the source."""
    return {base(name) for name in unit.names}


def is_writable(view: View, unit: Unit) -> bool:
    """Whether a variable is in memory that stays writable after init."""
    section = view.section(unit)
    return bool(section.flags & SHF_WRITE) and not section.name.startswith(READ_ONLY_LATER)


def is_constant(view: View, unit: Unit) -> bool:
    """Whether the source declares a variable ``const``: no code writes it, not even at boot."""
    section = view.section(unit)
    return not section.flags & SHF_WRITE or section.name.startswith(RELOCATED_CONSTANTS)


def holds_labels(view: View, unit: Unit) -> bool:
    """Whether a constant refers into the middle of functions: a table for computed jumps.

    Example: ``jumptable`` of ``___bpf_prog_run()`` (kernel/bpf/core.c) holds the addresses of its
    labels (``&&label``).  New code of the function has labels elsewhere, so it needs a new table.
    Since 6.12 its section, ``.data.rel.ro.c_jump_table``, is writable in the object
    (include/linux/compiler.h: __annotate_jump_table).
    """
    return (
        not unit.is_function
        and is_constant(view, unit)
        and any(map(_is_label, view.references(unit)))
    )


def _is_label(reference: Reference) -> bool:
    target = reference.target
    return isinstance(target, ToUnit) and target.unit.is_function and target.offset != 0


def same_references(comparison: Comparison, before: Unit, after: Unit) -> frozenset[int]:
    """Return the offsets at which both variables refer to the same thing."""
    old = {reference.offset: reference for reference in comparison.original.view.references(before)}
    return frozenset(
        reference.offset
        for reference in comparison.patched.view.references(after)
        if reference.offset in old and comparison.same_reference(old[reference.offset], reference)
    )


def differing_words(comparison: Comparison, before: Unit, after: Unit) -> frozenset[int]:
    """Return the offsets of the machine words that differ in a variable of unchanged size."""
    mine, theirs = comparison.original.view, comparison.patched.view
    left, right = list(mine.references(before)), list(theirs.references(after))
    same = same_references(comparison, before, after)
    fields = {reference.offset for reference in (*left, *right)} - same
    plain = masked(mine.data(before), left), masked(theirs.data(after), right)
    bytes_ = (at for at, (old, new) in enumerate(zip(*plain, strict=True)) if old != new)
    return frozenset(at - at % WORD for at in (*fields, *bytes_))


def _changed_variables(comparison: Comparison) -> Iterator[tuple[Unit, Unit]]:
    original, view = comparison.original.view, comparison.patched.view
    for after, before in comparison.correlation.original.items():
        if after.is_function or view.is_private(after) or not view.section(after).is_allocated:
            continue
        if rule_for(view.section(after).name, view.obj.arch) is not None:
            continue  # an entry of a list, which `changed_sections` compares
        if holds_labels(view, after) and holds_labels(original, before):
            continue  # copied with the function that has the labels
        if not comparison.same_data(before, after) and not _only_moves(comparison, before, after):
            yield before, after


def _only_moves(comparison: Comparison, before: Unit, after: Unit) -> bool:
    """Whether only the section of a writable variable changes, and not its initial value.

    Example: ``misc_class`` (drivers/char/misc.c) becomes ``__read_mostly``.  The running kernel has
    it where it was linked, and new code uses that one.
    """
    sections = comparison.original.view.section(before), comparison.patched.view.section(after)
    ordinary = all(
        section.name.startswith(PLACED_FOR_SPEED)
        or (section.name.startswith((".data", ".bss")) and ".." not in section.name)
        for section in sections
    )
    return ordinary and comparison.same_contents(before, after)


def _undecided(
    comparison: Comparison,
    before: Unit,
    after: Unit,
    unpatchable: str | None,
    unkeepable: str | None,
) -> Refusal:
    """Return the refusal of a changed variable that the author has not decided about."""
    view, name = comparison.patched.view, base(after.name)
    size = (
        f"{before.size} bytes"
        if before.size == after.size
        else f"{before.size} to {after.size} bytes"
    )
    found = f"the patch changes the initial value of {name} ({view.section(after).name}, {size})"
    evidence, ways_out = [], []
    if unpatchable is None:
        ways_out.append(
            "If it is to change in memory while the live patch is in force, "
            f"say so: --patch-data {name}"
        )
    else:
        evidence.append(f"--patch-data cannot change it: it {unpatchable}")
    if unkeepable is None:
        ways_out.append(
            f"If what the running kernel holds is right as it is, say so: --keep-data {name}"
        )
    else:
        evidence.append(f"--keep-data cannot leave it as it is: it {unkeepable}")
    if _may_be_renamed(comparison, after):
        ways_out.append(
            "As only functions of this file read it, you can also rename it in the patch: the live "
            "patch then brings the new table, of any size, and replaces these functions"
        )
    remedy = "\n".join([*ways_out, "See docs/data.md."]) if ways_out else None
    return Refusal(DATA_CHANGED, view.obj.name, found, remedy=remedy, evidence=evidence)


def _may_be_renamed(comparison: Comparison, after: Unit) -> bool:
    """Whether a variable is a constant that code of this file reads directly, and nothing else
    uses.

    Example: ``path_limits[]`` (fs/eventpoll.c).  A structure whose address code stores,
    such as ``loop_mq_ops`` (drivers/block/loop.c), is not meant: the pointer to the new one would
    outlive the live patch.
    """
    view = comparison.patched.view
    if not after.is_local or not is_constant(view, after):
        return False
    users = variable_uses(view, after)
    others = [user for use, names in users.items() if use != VariableUse.READ for user in names]
    readers = [view.by_name.get(user.removesuffix("()"), ()) for user in users[VariableUse.READ]]
    return (
        not others
        and bool(readers)
        and not any(is_once_only(view.section(unit)) for unit in chain.from_iterable(readers))
    )


def _reasons_not_to_patch(comparison: Comparison, before: Unit, after: Unit) -> Iterator[str]:
    """Yield the reasons why a variable cannot be changed in memory; each completes "it ..."."""
    yield from _wrong_place(comparison, before, after)
    yield from _unknown_value(comparison, before, after)
    yield from _unreachable_pointers(comparison, before, after)


def _wrong_place(comparison: Comparison, before: Unit, after: Unit) -> Iterator[str]:
    """Yield reasons of size and section."""
    old, new = comparison.original.view.section(before), comparison.patched.view.section(after)
    if before.size != after.size:
        yield (
            f"changes its size from {before.size} to {after.size} bytes, "
            "and what follows it in memory stays"
        )
    if is_once_only(old) or is_once_only(new):
        yield f"is in {old.name}, {FREED}"
    if old.name.startswith(".data..percpu"):
        yield "is per-CPU: every processor has its own, made at boot"
    if old.flags != new.flags:
        yield f"moves from {old.name} to {new.name}"
    if not old.name.startswith((".rodata", *READ_ONLY_LATER, *WRITABLE)) or (
        old.name.startswith(".data..")
        and not old.name.startswith((*READ_ONLY_LATER, *WRITABLE[:2]))
    ):
        yield f"is in {old.name}, which the kernel reads for a purpose of its own"


def _unknown_value(comparison: Comparison, before: Unit, after: Unit) -> Iterator[str]:
    """Yield reasons why other code may write a variable, or may have written it.

    Of a variable that stays writable, only the words that change count.
    """
    view = comparison.original.view
    if not view.section(before).flags & SHF_WRITE or before.size != after.size:
        return
    writable = is_writable(view, before)
    words = differing_words(comparison, before, after)
    within = {at + n for at in words for n in range(WORD)} if writable else None
    users = variable_uses(view, before, within)
    for user in users[VariableUse.STORE]:
        yield f"is written by {user}"
    if users[VariableUse.SPECIAL]:
        yield f"is the kernel's to write ({users[VariableUse.SPECIAL][0]})"
    if not writable:
        return
    for user in users[VariableUse.ADDRESS]:
        # A registered structure is written through the pointer that was passed on: list heads,
        # counts, states.  For example misc_register(&loop_misc) (drivers/block/loop.c) sets
        # loop_misc.list and .this_device.  No subsystem writes pointers to functions or constants
        # into a structure of its caller.
        numbers = [at for at in sorted(words) if not _stays_pointer(comparison, before, after, at)]
        if before.size <= WORD:
            yield f"may be written through a pointer: {user} takes its address"
        elif numbers:
            place = f"holds a number at +{numbers[0]:#x}"
            yield f"{place}, which may be written through a pointer: {user} takes its address"
    if not before.is_local:
        yield "is global and writable, so code in other files may have written it"


def _stays_pointer(comparison: Comparison, before: Unit, after: Unit, at: int) -> bool:
    """Whether a machine word is a pointer to a function or a constant, or NULL, before the patch
    and after it."""
    return _is_constant_pointer(comparison.original.view, before, at) and _is_constant_pointer(
        comparison.patched.view, after, at
    )


def _is_constant_pointer(view: View, unit: Unit, at: int) -> bool:
    references = [ref for ref in view.references(unit) if at - WORD < ref.offset < at + WORD]
    if not references:
        return not any(view.data(unit)[at : at + WORD])
    (first, *rest) = references
    if rest or (first.offset, first.type) != (at, view.obj.arch.relocations.address):
        return False
    match first.target:
        case ToUnit(target, _):
            return target.is_function or not view.section(target).flags & SHF_WRITE
        case ToUndefined() | ToLiteral() | ToAnonymous():
            return True
    return False


def _unreachable_pointers(comparison: Comparison, before: Unit, after: Unit) -> Iterator[str]:
    """Yield reasons of pointers that cannot be written, or not be restored."""
    same = same_references(comparison, before, after)
    for reference in comparison.patched.view.references(after):
        if reference.offset not in same:
            yield from _unwritable(comparison, reference)
    for reference in comparison.original.view.references(before):
        if reference.offset not in same:
            yield from _nameless(comparison.original.view, reference)


def _unwritable(comparison: Comparison, reference: Reference) -> Iterator[str]:
    """Yield reasons of a new pointer that cannot be written.

    It may lead to new functions, variables and strings: the live patch then stays in memory
    (`suture.diff.escapes`), for the kernel may keep what it reads from a table.
    """
    place = f"at +{reference.offset:#x}"
    if reference.kind.pc_relative:
        yield f"holds a relative address {place}"
    match reference.target:
        case ToUnit(unit, _):
            original = comparison.correlation.original.get(unit)
            if original is not None and is_once_only(comparison.original.view.section(original)):
                yield f"would point to {unit.name} {place}, {FREED}"
            elif _is_label(reference):
                yield f"would point to a label of {unit.name}() {place}, {ELSEWHERE}"
        case ToAnonymous():
            yield f"would point to an unnamed constant {place}, {NAMELESS}"
        case ToLiteral() | ToUndefined() | ToAbsolute():
            return


def _nameless(view: View, reference: Reference) -> Iterator[str]:
    """Yield reasons of an old pointer that cannot be compared and restored."""
    place = f"at +{reference.offset:#x}"
    if reference.kind.pc_relative:
        yield f"holds a relative address {place}"
    if isinstance(reference.target, ToLiteral | ToAnonymous):
        yield (
            f"points to a string or constant {place} that has no name in the running kernel, "
            "and would no longer"
        )
    if isinstance(reference.target, ToUnit) and is_once_only(view.section(reference.target.unit)):
        yield f"points to {reference.target.unit.name} {place}, {FREED}"
