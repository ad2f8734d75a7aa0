# SPDX-License-Identifier: GPL-2.0-or-later
"""Which functions the patch changed, and whether it changed anything that no live patch can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from suture.diff.comparison import Comparison, Side, is_once_only
from suture.diff.correlate import Correlation, correlate
from suture.diff.data import NO_DATA, DataChange, DataRequest, changed_data, ignored_data
from suture.diff.hooks import NO_HOOKS, Hooks, read_hooks
from suture.diff.keep_data import kept, used_by_new_code
from suture.diff.omitted import BY_AUTHOR, OmittedPart, once_only
from suture.diff.sections import changed_sections
from suture.objects.locals import DATA, is_cold, parent
from suture.objects.view import ToUnit, Unit, View

Pair = tuple[Unit, Unit]
"""A unit of the original object, and the same one in the patched object."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between the original and the patched object of one source file.

    :ivar correlation: which patched unit is which original one.
    :ivar changed: functions that differ, themselves or in their ``.cold`` part.
    :ivar provided: global functions and variables that only the patched object has: other files may
        use them.
    :ivar published: functions and variables that were static and are global now.
    :ivar left_out: changes that a live patch does without.
    :ivar data: variables whose contents are to change in memory (--patch-data).
    :ivar kept_values: patched variables whose changed initial value is not applied (--keep-data).
    :ivar hooks: callbacks, and what the patch asks to ignore.
    """

    original: Side
    patched: Side
    correlation: Correlation
    changed: tuple[Pair, ...] = ()
    provided: tuple[Unit, ...] = ()
    published: tuple[Pair, ...] = ()
    left_out: tuple[OmittedPart, ...] = ()
    data: tuple[DataChange, ...] = ()
    kept_values: tuple[Unit, ...] = ()
    hooks: Hooks = NO_HOOKS

    @property
    def is_empty(self) -> bool:
        """Nothing differs that a live patch could hold, or would have to leave out."""
        return not (
            self.changed
            or self.provided
            or self.published
            or self.left_out
            or self.data
            or self.hooks.calls
        )


def compare(original: Side, patched: Side, request: DataRequest = NO_DATA) -> Changes:
    """Find what differs between two objects.

    :param request: which variables are to change in memory, or may stay as they are.
    :raises Refusal: ``data-changed``, ``data-unpatchable``, ``data-unkeepable``,
        ``section-changed``, ``tracepoint-changed``, ``ambiguous-local``, and those of `read_hooks`
    """
    hooks = read_hooks(patched.view)
    correlation = _without_freed(
        original.view, patched.view, correlate(original.view, patched.view)
    )
    comparison = Comparison(original, patched, correlation)
    view = patched.view
    differing = _differing_functions(comparison)
    ignored = [pair for pair in differing if _is_ignored(hooks, view, pair[1])]
    differing = [pair for pair in differing if pair not in ignored]
    changed = tuple(pair for pair in differing if not is_once_only(view.section(pair[1])))
    provided = tuple(unit for unit in view.units if _is_provided(view, unit, correlation))
    used = used_by_new_code(view, correlation, [*(after for _, after in changed), *provided])
    data, kept_values = changed_data(comparison, request, used, hooks.ignored_sections)
    left_out = (
        *hooks.left_out,
        *_ignored_functions(view, ignored),
        *ignored_data(comparison, hooks.ignored_sections),
        *_init_and_exit(view, differing),
        *changed_sections(comparison, hooks.ignored_sections),
        *(kept(view, unit) for unit in kept_values),
    )
    return Changes(
        original=original,
        patched=patched,
        correlation=correlation,
        changed=changed,
        provided=provided,
        published=_published(correlation),
        left_out=left_out,
        data=data,
        kept_values=kept_values,
        hooks=hooks,
    )


def _published(correlation: Correlation) -> tuple[Pair, ...]:
    return tuple(
        (before, after)
        for after, before in correlation.original.items()
        if before.is_local and not after.is_local
    )


def _ignored_functions(view: View, ignored: Iterable[Pair]) -> Iterator[OmittedPart]:
    for _, after in ignored:
        yield OmittedPart(
            f"the changed function {after.name}()", view.section(after).name, BY_AUTHOR
        )


def _without_freed(original: View, patched: View, correlation: Correlation) -> Correlation:
    """What was in memory that was given back, and is not marked so any more, is new: the kernel no
    longer has it."""
    return Correlation(
        {
            after: before
            for after, before in correlation.original.items()
            if is_once_only(patched.section(after)) or not is_once_only(original.section(before))
        }
    )


def _is_ignored(hooks: Hooks, view: View, unit: Unit) -> bool:
    return unit in hooks.ignored_functions or view.section(unit).name in hooks.ignored_sections


def _init_and_exit(patched: View, differing: Iterable[tuple[Unit, Unit]]) -> Iterator[OmittedPart]:
    for _, after in differing:
        section = patched.section(after)
        if is_once_only(section):
            yield OmittedPart(f"{after.name}()", section.name, once_only(section.name, code=True))


def _differing_functions(comparison: Comparison) -> list[Pair]:
    """Functions that differ, themselves or in their ``.cold`` part, which may also have come or
    gone.

    Example: a fix that adds a ``WARN_ON()`` moves its slow path into a new ``foo.cold``; the bytes
    of ``foo()`` may differ in one jump only, whose target is compared, or not at all.
    """
    original, patched = comparison.original.view, comparison.patched.view
    original_of = comparison.correlation.original
    changed: dict[Unit, Unit] = {}
    for unit in patched.units:
        if not unit.is_function or not patched.section(unit).is_code:
            continue
        before = original_of.get(unit)
        whole = owner(patched, unit) if is_cold(unit.name) else unit
        if whole is None or whole not in original_of:
            continue
        if before is None or not comparison.same_function(before, unit):
            changed[whole] = original_of[whole]
    kept = set(original_of.values())
    gone = {parent(unit.name) for unit in original.units if is_cold(unit.name) and unit not in kept}
    changed |= {after: before for after, before in original_of.items() if before.name in gone}
    return [(before, after) for after, before in changed.items()]


MODULE_HOOKS = frozenset({"init_module", "cleanup_module"})
"""What ``module_init()`` and ``module_exit()`` make (include/linux/module.h); the live patch module
has its own."""


def _is_provided(view: View, unit: Unit, correlation: Correlation) -> bool:
    section = view.section(unit)
    return (
        unit not in correlation.original
        and not unit.is_local
        and not is_once_only(section)
        and MODULE_HOOKS.isdisjoint((unit.name, *unit.aliases))
        and section.is_allocated
        and (section.is_code or section.name.startswith(DATA))
    )


def cold_part(view: View, unit: Unit) -> Unit | None:
    """The ``.cold`` part of a function; of several of that name (in several source files) the one
    that it jumps to."""
    names = (f"{name}.cold" for name in (unit.name, *unit.aliases))
    found = [cold for name in names for cold in view.by_name.get(name, ())]
    return next((cold for cold in found if len(found) == 1 or _refers(view, unit, cold)), None)


def owner(view: View, cold: Unit) -> Unit | None:
    """The function that a ``.cold`` part belongs to."""
    found = view.by_name.get(parent(cold.name), ())
    return next((unit for unit in found if len(found) == 1 or _refers(view, unit, cold)), None)


def _refers(view: View, unit: Unit, other: Unit) -> bool:
    return any(
        isinstance(r.target, ToUnit) and r.target.unit == other for r in view.references(unit)
    )
