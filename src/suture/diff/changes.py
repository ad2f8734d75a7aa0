# SPDX-License-Identifier: GPL-2.0-or-later
"""The functions that a patch changes; changes that no live patch can make are refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from suture.diff.comparison import Comparison, Side, is_once_only
from suture.diff.correlate import Correlation, correlate
from suture.diff.data import NO_DATA, DataChange, DataRequest, changed_data, ignored_data
from suture.diff.hooks import NO_HOOKS, Hooks, read_hooks
from suture.diff.keep_data import kept_part, used_by_new_code
from suture.diff.omitted import BY_AUTHOR, OmittedPart, once_only_reason
from suture.diff.sections import changed_sections
from suture.objects.locals import DATA, is_cold, parent
from suture.objects.view import ToUnit, Unit, View

Pair = tuple[Unit, Unit]
"""A unit of the original object, and its counterpart in the patched object."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences between the original and the patched object of one source file.

    :ivar correlation: patched unit -> original unit.
    :ivar changed: functions that differ, themselves or in their ``.cold`` part.
    :ivar provided: new global functions and variables, which other files may use.
    :ivar published: functions and variables that were static and are global now.
    :ivar once_only: changed functions that run at boot, when their module is loaded, or when it is
        unloaded; the live patch leaves them as they are.
    :ivar left_out: changes that the live patch leaves out.
    :ivar data: variables that are to change in memory (--patch-data).
    :ivar kept_values: patched variables that keep their old value (--keep-data).
    :ivar hooks: callbacks of the patch, and what it asks to ignore.
    """

    original: Side
    patched: Side
    correlation: Correlation
    changed: tuple[Pair, ...] = ()
    provided: tuple[Unit, ...] = ()
    published: tuple[Pair, ...] = ()
    once_only: tuple[Pair, ...] = ()
    left_out: tuple[OmittedPart, ...] = ()
    data: tuple[DataChange, ...] = ()
    kept_values: tuple[Unit, ...] = ()
    hooks: Hooks = NO_HOOKS

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs that belongs into a live patch or is left out of it."""
        return not (
            self.changed
            or self.provided
            or self.published
            or self.left_out
            or self.data
            or self.hooks.calls
        )


def compare(
    original: Side,
    patched: Side,
    request: DataRequest = NO_DATA,
    *,
    lines_count: bool = True,
) -> Changes:
    """Find the differences between two objects.

    :param request: variables that are to change in memory, or to keep their old value.
    :param lines_count: see `Comparison`.
    :raises Refusal: ``data-changed``, ``data-unpatchable``, ``data-unkeepable``,
        ``section-changed``, ``tracepoint-changed``, ``ambiguous-local``, and what `read_hooks`
        raises
    """
    hooks = read_hooks(patched.view)
    view = patched.view
    correlation = _without_freed(original.view, view, correlate(original.view, view))
    comparison = Comparison(original, patched, correlation, lines_count=lines_count)
    differing = _differing_functions(comparison)
    ignored = [pair for pair in differing if _is_ignored(hooks, view, pair[1])]
    differing = [pair for pair in differing if pair not in ignored]
    once_only = tuple(pair for pair in differing if is_once_only(view.section(pair[1])))
    changed = tuple(pair for pair in differing if pair not in once_only)
    provided = tuple(unit for unit in view.units if _is_provided(view, unit, correlation))
    used = used_by_new_code(view, correlation, [*(after for _, after in changed), *provided])
    data, kept_values = changed_data(comparison, request, used, hooks.ignored_sections)
    left_out = (
        *hooks.left_out,
        *_ignored_functions(view, ignored),
        *ignored_data(comparison, hooks.ignored_sections),
        *_init_and_exit(view, once_only),
        *changed_sections(comparison, hooks.ignored_sections),
        *(kept_part(view, unit) for unit in kept_values),
    )
    return Changes(
        original=original,
        patched=patched,
        correlation=correlation,
        changed=changed,
        provided=provided,
        published=_published(correlation),
        once_only=once_only,
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
    """Drop units that were ``__init`` or ``__exit`` and no longer are.

    The kernel freed the old ones, so the live patch has to bring them along as new ones.
    """
    return Correlation(
        {
            after: before
            for after, before in correlation.original.items()
            if is_once_only(patched.section(after)) or not is_once_only(original.section(before))
        }
    )


def _is_ignored(hooks: Hooks, view: View, unit: Unit) -> bool:
    return unit in hooks.ignored_functions or view.section(unit).name in hooks.ignored_sections


def _init_and_exit(patched: View, once_only: Iterable[Pair]) -> Iterator[OmittedPart]:
    for _, after in once_only:
        name = patched.section(after).name
        yield OmittedPart(f"{after.name}()", name, once_only_reason(name, code=True))


def _differing_functions(comparison: Comparison) -> list[Pair]:
    """Find functions that differ, themselves or in their ``.cold`` part.

    Example: ``pr_warn()`` of ``loop_reread_partitions()`` (drivers/block/loop.c) is in
    ``loop_reread_partitions.cold``, as ``_printk()`` is ``__cold``.  If a patch changes its text,
    only that part differs; the core redirects functions, so the function is replaced.
    """
    original, patched = comparison.original.view, comparison.patched.view
    original_of = comparison.correlation.original
    changed: dict[Unit, Unit] = {}
    for unit in patched.units:
        if not unit.is_function or not patched.section(unit).is_code:
            continue
        before = original_of.get(unit)
        function = owner(patched, unit) if is_cold(unit.name) else unit
        if function is None or function not in original_of:
            continue
        if before is None or not comparison.same_function(before, unit):
            changed[function] = original_of[function]
    paired = set(original_of.values())
    lost_cold_part = {
        parent(unit.name) for unit in original.units if is_cold(unit.name) and unit not in paired
    }
    for after, before in original_of.items():
        if before.name in lost_cold_part:
            changed[after] = before
    return [(before, after) for after, before in changed.items()]


MODULE_HOOKS = frozenset({"init_module", "cleanup_module"})
"""Names that ``module_init()`` and ``module_exit()`` define (include/linux/module.h); the live
patch module has its own."""


def _is_provided(view: View, unit: Unit, correlation: Correlation) -> bool:
    """Whether a unit is new and other source files of the patch may use it."""
    section = view.section(unit)
    return (
        unit not in correlation.original
        and not unit.is_local
        and not is_once_only(section)
        and MODULE_HOOKS.isdisjoint(unit.names)
        and section.is_allocated
        and (section.is_code or section.name.startswith(DATA))
    )


def cold_part(view: View, unit: Unit) -> Unit | None:
    """Return a function's ``.cold`` part; of several with one name the one that it jumps to."""
    parts: list[Unit] = []
    for name in unit.names:
        parts += view.by_name.get(f"{name}.cold", ())
    return next((cold for cold in parts if len(parts) == 1 or _refers_to(view, unit, cold)), None)


def owner(view: View, cold: Unit) -> Unit | None:
    """Return the function that a ``.cold`` part belongs to."""
    units = view.by_name.get(parent(cold.name), ())
    return next((unit for unit in units if len(units) == 1 or _refers_to(view, unit, cold)), None)


def _refers_to(view: View, unit: Unit, other: Unit) -> bool:
    targets = (reference.target for reference in view.references(unit))
    return any(isinstance(target, ToUnit) and target.unit == other for target in targets)
