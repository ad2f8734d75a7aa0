# SPDX-License-Identifier: GPL-2.0-or-later
"""Which functions the patch changed, and whether it changed anything that no live patch can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from suture.diff.comparison import Comparison, Side, is_once_only
from suture.diff.correlate import Correlation, correlate
from suture.diff.data import (
    NOTHING,
    Asked,
    changed_data,
    differing_words,
    ignored_data,
    is_writable,
    same_references,
)
from suture.diff.hooks import NO_HOOKS, Hooks, read_hooks
from suture.diff.keep_data import kept, used_by_new_code
from suture.diff.omitted import BY_AUTHOR, Part, once_only
from suture.diff.sections import changed_sections
from suture.errors import (
    NO_CODE_CHANGE,
    Refusal,
)
from suture.objects.locals import DATA, is_cold, parent
from suture.objects.view import ToUnit, Unit, View


@dataclass(frozen=True, slots=True)
class Changes:
    """What the patch did to one object.

    :ivar changed: patched functions (with the original of each) that differ, ``.cold`` parts left
        out.
    :ivar provided: global functions and variables that only the patched object has: other files may
        use them.
    :ivar left_out: what it changed that a live patch does without.
    :ivar published: those that were static (with the original of each) and are global now.
    :ivar carried: functions (with the original of each) that cannot be redirected: new code of the
        live patch, which the functions that call them are replaced for (`suture.verify.callers`).
    :ivar data: variables (original and patched) whose contents are to be changed in memory.
    :ivar kept: patched variable of `data` -> offsets in it at which it refers to what the original
        refers to.
    :ivar hooks: what the patch says about itself.
    :ivar words: patched variable of `data` that stays writable -> offsets of the machine words that
        are to change.
    :ivar stay: patched variables of another initial value that stay as they are in memory.
    """

    original: Side
    patched: Side
    correlation: Correlation
    changed: tuple[tuple[Unit, Unit], ...]
    provided: tuple[Unit, ...]
    published: tuple[tuple[Unit, Unit], ...]
    left_out: tuple[Part, ...] = ()
    carried: tuple[tuple[Unit, Unit], ...] = ()
    data: tuple[tuple[Unit, Unit], ...] = ()
    kept: Mapping[Unit, frozenset[int]] = field(default_factory=dict)
    hooks: Hooks = NO_HOOKS
    words: Mapping[Unit, frozenset[int]] = field(default_factory=dict)
    stay: tuple[Unit, ...] = ()

    @property
    def need_code(self) -> bool:
        """The live patch has to hold something of this object."""
        return bool(self.changed or self.provided or self.carried or self.hooks.calls)


def compare(original: Side, patched: Side, asked: Asked = NOTHING) -> Changes:
    """Find what changed between two objects.

    :param asked: which variables are to be changed in memory, or may stay as they are.
    :raises Refusal: ``data-changed``, ``data-unpatchable``, ``data-unkeepable``,
        ``section-changed``, ``tracepoint-changed``, ``ambiguous-local``, and those of `read_hooks`;
        ``no-code-change`` where nothing changed
    """
    hooks = read_hooks(patched.view)
    correlation = _without_freed(
        original.view, patched.view, correlate(original.view, patched.view)
    )
    comparison = Comparison(original, patched, correlation)
    differing = _changed_functions(comparison, original.view, patched.view, correlation)
    ignored = [pair for pair in differing if _is_ignored(hooks, patched.view, pair[1])]
    differing = tuple(pair for pair in differing if pair not in ignored)
    changed = tuple(pair for pair in differing if not is_once_only(patched.view.section(pair[1])))
    provided = tuple(
        unit for unit in patched.view.units if _is_provided(patched.view, unit, correlation)
    )
    used = used_by_new_code(
        patched.view, correlation, [*(after for _, after in changed), *provided]
    )
    data, stay = changed_data(comparison, asked, used, hooks.ignored_sections)
    left_out = (
        *hooks.left_out,
        *(
            Part(
                f"the changed function {after.name}()", patched.view.section(after).name, BY_AUTHOR
            )
            for _, after in ignored
        ),
        *ignored_data(comparison, hooks.ignored_sections),
        *_init_and_exit(patched.view, differing),
        *changed_sections(comparison, hooks.ignored_sections),
        *(kept(patched.view, unit) for unit in stay),
    )
    published = tuple(
        (before, after)
        for after, before in correlation.original.items()
        if before.is_local and not after.is_local
    )
    if not (changed or provided or published or left_out or data or hooks.calls):
        raise Refusal(NO_CODE_CHANGE, patched.view.obj.name, "no function differs")
    words = {
        after: differing_words(comparison, before, after)
        for before, after in data
        if is_writable(original.view, before)
    }
    same = {after: same_references(comparison, before, after) for before, after in data}
    return Changes(
        original,
        patched,
        correlation,
        changed,
        provided,
        published,
        left_out,
        data=data,
        kept=same,
        hooks=hooks,
        words=words,
        stay=stay,
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


def _init_and_exit(patched: View, differing: Iterable[tuple[Unit, Unit]]) -> Iterator[Part]:
    for _, after in differing:
        section = patched.section(after)
        if is_once_only(section):
            yield Part(f"{after.name}()", section.name, once_only(section.name, code=True))


def _changed_functions(
    comparison: Comparison, original: View, patched: View, correlation: Correlation
) -> tuple[tuple[Unit, Unit], ...]:
    """Functions that differ, themselves or in their ``.cold`` part, which may also have come or
    gone."""
    changed: dict[Unit, Unit] = {}
    for unit in patched.units:
        if not unit.is_function or not patched.section(unit).is_code:
            continue
        before = correlation.original.get(unit)
        whole = owner(patched, unit) if is_cold(unit.name) else unit
        if whole is None or whole not in correlation.original:
            continue
        if before is None or not comparison.same_function(before, unit):
            changed[whole] = correlation.original[whole]
    kept = set(correlation.original.values())
    gone = {parent(unit.name) for unit in original.units if is_cold(unit.name) and unit not in kept}
    changed |= {
        after: before for after, before in correlation.original.items() if before.name in gone
    }
    return tuple((before, after) for after, before in changed.items())


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
