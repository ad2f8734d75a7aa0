# SPDX-License-Identifier: GPL-2.0-or-later
"""Variables whose initial value the patch changes: which of them a live patch can change in memory,
and why not others.

What may be changed (`--patch-data`) must be what it was when the kernel was built, until now and
for as long as the live patch is in force: nothing but the live patch may write it.  That holds for
memory that is read-only once the kernel has booted, and for a single number that is static and that
no code writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from suture.diff.comparison import Comparison, is_once_only, masked
from suture.diff.keep_data import reasons_not_to_keep
from suture.diff.omitted import BY_AUTHOR, OmittedPart
from suture.diff.sections import row
from suture.diff.stores import VariableUse, uses
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

READ_ONLY_LATER = (".data..ro_after_init", ".data.rel.ro")
"""Mapped read-only after init, though the object has them writable (include/linux/cache.h)."""

WRITABLE = (".data..read_mostly", ".data..cacheline_aligned", ".data", ".bss")
"""Ordinary variables."""


@dataclass(frozen=True, slots=True)
class DataRequest:
    """What the author asks for, by the names of variables.

    :ivar patch: variables whose contents are to change in memory (--patch-data).
    :ivar keep: variables that may stay as they are (--keep-data).
    """

    patch: Collection[str] = ()
    keep: Collection[str] = ()


NO_DATA = DataRequest()


@dataclass(frozen=True, slots=True)
class DataChange:
    """A variable whose contents change in memory while the live patch is in force.

    :ivar before: it in the original object; `after`: in the patched one.
    :ivar same_references: offsets at which both refer to the same thing.
    :ivar words: offsets of the machine words that are to change, where it stays writable; None for
        one that is read-only after init, which is compared and written as a whole.
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
    """Find the variables whose initial value differs; refuse those that the author did not name.

    Example: a fix that adds an entry to ``ctl_table kern_table[]`` changes data that boot has
    registered.  Replacing code does not reach it, and leaving it out would be half a fix, so it is
    refused until the author says which is meant.

    :param used: what new code of the live patch refers to.
    :param ignored: names of sections that the patch wants to be left out.
    :return: the variables that change in memory, and the patched ones that stay as they are.
    :raises Refusal: ``data-changed``, ``data-unpatchable``, ``data-unkeepable``
    """
    changed, kept = [], []
    view = comparison.patched.view
    for before, after in _changed(comparison):
        if view.section(after).name in ignored:
            continue
        where = f"{view.obj.name}: {base(after.name)}"
        words = differing_words(comparison, before, after) if before.size == after.size else ()
        unpatchable = next(_reasons(comparison, before, after), None)
        unkeepable = next(reasons_not_to_keep(comparison, before, after, words, used), None)
        if names(after) & set(request.patch):
            if unpatchable is not None:
                raise Refusal(DATA_UNPATCHABLE, where, unpatchable)
            changed.append(_data_change(comparison, before, after))
        elif names(after) & set(request.keep):
            if unkeepable is not None:
                raise Refusal(DATA_UNKEEPABLE, where, unkeepable)
            kept.append(after)
        else:
            raise _not_asked(comparison, before, after, unpatchable, unkeepable)
    return tuple(changed), tuple(kept)


def _data_change(comparison: Comparison, before: Unit, after: Unit) -> DataChange:
    stays_writable = is_writable(comparison.original.view, before)
    words = differing_words(comparison, before, after) if stays_writable else None
    return DataChange(before, after, same_references(comparison, before, after), words)


def ignored_data(comparison: Comparison, ignored: Collection[str]) -> tuple[OmittedPart, ...]:
    """The changed variables that the patch wants to be left out.

    :param ignored: names of their sections.
    """
    view = comparison.patched.view
    found = (after for _, after in (_changed(comparison) if ignored else ()))
    sections = ((after, view.section(after).name) for after in found)
    return tuple(
        OmittedPart(f"the changed variable {base(after.name)}", name, BY_AUTHOR)
        for after, name in sections
        if name in ignored
    )


def names(unit: Unit) -> set[str]:
    """What its author calls it."""
    return {base(name) for name in (unit.name, *unit.aliases)}


def is_writable(view: View, unit: Unit) -> bool:
    """It stands in memory that stays writable."""
    section = view.section(unit)
    return bool(section.flags & SHF_WRITE) and not section.name.startswith(READ_ONLY_LATER)


def holds_labels(view: View, unit: Unit) -> bool:
    """A constant that refers into the middle of functions: a table for computed jumps
    (``&&label``)."""
    return not view.section(unit).flags & SHF_WRITE and any(
        isinstance(reference.target, ToUnit)
        and reference.target.unit.is_function
        and reference.target.offset
        for reference in view.references(unit)
    )


def same_references(comparison: Comparison, before: Unit, after: Unit) -> frozenset[int]:
    """Offsets at which both refer to the same thing."""
    old = {reference.offset: reference for reference in comparison.original.view.references(before)}
    return frozenset(
        reference.offset
        for reference in comparison.patched.view.references(after)
        if reference.offset in old and comparison.same_reference(old[reference.offset], reference)
    )


def differing_words(comparison: Comparison, before: Unit, after: Unit) -> frozenset[int]:
    """Offsets of the machine words, counted from the start of a variable of unchanged size, that
    differ."""
    mine, theirs = comparison.original.view, comparison.patched.view
    left, right = list(mine.references(before)), list(theirs.references(after))
    same = same_references(comparison, before, after)
    fields = {reference.offset for reference in (*left, *right)} - same
    plain = masked(mine.data(before), left), masked(theirs.data(after), right)
    bytes_ = (at for at, (old, new) in enumerate(zip(*plain, strict=True)) if old != new)
    return frozenset(at - at % WORD for at in (*fields, *bytes_))


def _changed(comparison: Comparison) -> Iterator[tuple[Unit, Unit]]:
    original, view = comparison.original.view, comparison.patched.view
    for after, before in comparison.correlation.original.items():
        if after.is_function or view.is_private(after) or not view.section(after).is_allocated:
            continue
        if row(view.section(after).name, view.obj.arch) is not None:
            continue  # an entry of a list: `changed_sections`
        if holds_labels(view, after) and holds_labels(original, before):
            continue  # goes with the function whose labels it holds
        if not comparison.same_data(before, after):
            yield before, after


def _not_asked(
    comparison: Comparison,
    before: Unit,
    after: Unit,
    unpatchable: str | None,
    unkeepable: str | None,
) -> Refusal:
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
            f"If it is to change in memory while the live patch is in force, say so: --patch-data {name}"
        )
    else:
        evidence.append(f"--patch-data cannot change it: it {unpatchable}")
    if unkeepable is None:
        ways_out.append(
            f"If what the running kernel holds is right as it is, say so: --keep-data {name}"
        )
    else:
        evidence.append(f"--keep-data cannot leave it as it is: it {unkeepable}")
    remedy = "\n".join([*ways_out, "See docs/data.md."]) if ways_out else None
    return Refusal(DATA_CHANGED, view.obj.name, found, remedy=remedy, evidence=evidence)


def _reasons(comparison: Comparison, before: Unit, after: Unit) -> Iterator[str]:
    """Why a variable cannot be changed in memory; each completes "it ..."."""
    yield from _wrong_place(comparison, before, after)
    yield from _unknown_value(comparison, before, after)
    yield from _unreachable_pointers(comparison, before, after)


def _wrong_place(comparison: Comparison, before: Unit, after: Unit) -> Iterator[str]:
    old, new = comparison.original.view.section(before), comparison.patched.view.section(after)
    if before.size != after.size:
        yield f"changes its size from {before.size} to {after.size} bytes, and what follows it in memory stays"
    if is_once_only(old) or is_once_only(new):
        yield f"is in {old.name}, which the kernel gave back after boot or module load"
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
    """What else may have written it, or may yet: of a variable that stays writable, the words that
    are to change."""
    view = comparison.original.view
    if not view.section(before).flags & SHF_WRITE or before.size != after.size:
        return
    writable = is_writable(view, before)
    words = differing_words(comparison, before, after)
    found = uses(view, before, {at + n for at in words for n in range(WORD)} if writable else None)
    for user in found[VariableUse.STORE]:
        yield f"is written by {user}"
    if found[VariableUse.SPECIAL]:
        yield f"is the kernel's to write ({found[VariableUse.SPECIAL][0]})"
    if not writable:
        return
    for user in found[VariableUse.ADDRESS]:
        # What is registered is written through the pointer that was handed over: list heads,
        # counts, states.  No subsystem writes a function into a structure of its caller's, or gives
        # it another constant to read.
        numbers = [at for at in sorted(words) if not _stays_pointer(comparison, before, after, at)]
        if before.size <= WORD:
            yield f"may be written through a pointer: {user} takes its address"
        elif numbers:
            place = f"holds a number at +{numbers[0]:#x}"
            yield f"{place}, which may be written through a pointer: {user} takes its address"
    if not before.is_local:
        yield "is global and writable, so code in other files may have written it"


def _stays_pointer(comparison: Comparison, before: Unit, after: Unit, at: int) -> bool:
    """A machine word is a pointer to a function or a constant, or NULL, both before the patch and
    after it."""
    return _is_constant_pointer(comparison.original.view, before, at) and _is_constant_pointer(
        comparison.patched.view, after, at
    )


def _is_constant_pointer(view: View, unit: Unit, at: int) -> bool:
    references = [one for one in view.references(unit) if at - WORD < one.offset < at + WORD]
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
    same = same_references(comparison, before, after)
    for reference in comparison.patched.view.references(after):
        if reference.offset not in same:
            yield from _outlived(comparison, reference)
    for reference in comparison.original.view.references(before):
        if reference.offset not in same:
            yield from _nameless(comparison.original.view, reference)


def _outlived(comparison: Comparison, reference: Reference) -> Iterator[str]:
    """The kernel may hold on to what it read from the table, longer than the live patch is
    there."""
    place = f"at +{reference.offset:#x}"
    if reference.kind.pc_relative:
        yield f"holds a relative address {place}"
    match reference.target:
        case ToLiteral(_, content, _):
            text = content.rstrip(b"\0").decode("utf-8", "backslashreplace")
            yield f"would point to a new string {place}, {text!r}, which goes when the live patch is unloaded"
        case ToUnit(unit, _):
            original = comparison.correlation.original.get(unit)
            if original is None:
                what = f"{unit.name}{'()' if unit.is_function else ''}"
                yield f"would point to {what} {place}, which is new and goes when the live patch is unloaded"
            elif is_once_only(comparison.original.view.section(original)):
                yield f"would point to {unit.name} {place}, which the kernel gave back after boot or module load"
        case ToAnonymous():
            yield f"would point to an unnamed constant {place}, which goes when the live patch is unloaded"
        case ToUndefined() | ToAbsolute():
            return


def _nameless(view: View, reference: Reference) -> Iterator[str]:
    place = f"at +{reference.offset:#x}"
    if reference.kind.pc_relative:
        yield f"holds a relative address {place}"
    if isinstance(reference.target, ToLiteral | ToAnonymous):
        yield f"points to a string or constant {place} that has no name in the running kernel, and would no longer"
    if isinstance(reference.target, ToUnit) and is_once_only(view.section(reference.target.unit)):
        yield f"points to {reference.target.unit.name} {place}, which the kernel gave back after boot or module load"
