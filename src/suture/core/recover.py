# SPDX-License-Identifier: GPL-2.0-or-later
"""Finishes or undoes interrupted changes, and adds the missing outcomes to the journal.

- A transition under way: wait until it ends, and reverse it if it does not end in time.
- Modules of live patches that are out of force, because they were replaced, unloaded or never came
  into force: unload them.

What has come into force stays in force: an interrupted load with a finished transition is a load.
"""

from __future__ import annotations

from dataclasses import dataclass

from suture.core import (
    change,
    checks,
    installing,
    load,
    lock,
    modules,
    running,
    transition,
    unload,
)
from suture.core.change import Options
from suture.core.cores import current
from suture.core.journal import Record, unfinished
from suture.errors import TRANSITION_UNDER_WAY, Refusal
from suture.host import progress


@dataclass(frozen=True, slots=True)
class Recovered:
    """The result of a recovery.

    :ivar ended: the patch with the transition that was under way.
    :ivar reversed: whether the transition had to be reversed.
    :ivar unloaded: modules that were left over.
    :ivar kept: modules that something still holds.
    :ivar closed: the interrupted changes: (operation, patch, outcome).
    """

    ended: str | None
    reversed: bool
    unloaded: tuple[str, ...]
    kept: tuple[str, ...]
    closed: tuple[tuple[str, str, str], ...]


def recover(options: Options | None = None) -> Recovered:
    """Finish or undo interrupted changes.

    :raises Refusal: ``transition-stuck``, ``another-at-work``, ``change-interrupted``, and what
        `suture.core.checks.may_change` refuses
    """
    chosen = options or Options()
    checks.may_change("recovering")
    with lock.held("recover", wait=chosen.wait):
        ended, turned = _transition(chosen)
        unloaded, kept = _left_over(chosen)
        return Recovered(ended, turned, unloaded, kept, _close(chosen))


def _transition(options: Options) -> tuple[str | None, bool]:
    """Wait for the transition under way.  Return its patch, and whether it was reversed."""
    patch = current().in_transition()
    if patch is None:
        return None, False
    name = patch.name
    where = "new" if patch.enabled else "old"
    with progress.step(f"Waiting for all tasks to run the {where} code", name):
        wait = transition.into_force if patch.enabled else transition.out_of_force
        if wait(name, options.timeout).ended:
            return name, False
    if not options.revert:
        raise Refusal(
            TRANSITION_UNDER_WAY,
            name,
            f"it did not end within {options.timeout:g} s; not reversed (--no-revert)",
            evidence=change.evidence(transition.behind(patch)),
        )
    found = f"tasks did not switch within {options.timeout:g} s"
    with change.recorded(options.journal, "recover", name, {"found": found}) as outcome:
        if patch.enabled:
            outcome.details["found"] = load.undo(
                name, options, [p.name for p in current().patches() if p.name != name]
            )
        else:
            unload.back(name, options, (), found)
        outcome.result = "reversed"
    return name, True


def _left_over(options: Options) -> tuple[tuple[str, ...], tuple[str, ...]]:
    unloaded: list[str] = []
    kept: list[str] = []
    for module in modules.left_over():
        details: dict[str, object] = {"build_id": module.build_id}
        with (
            change.recorded(options.journal, "recover", module.name, details) as outcome,
            progress.step("Unloading the module", module.name),
        ):
            gone = change.drop_module(module.name)
            (unloaded if gone else kept).append(module.name)
            outcome.result = "unloaded" if gone else "out-of-force"
    return tuple(unloaded), tuple(kept)


def _close(options: Options) -> tuple[tuple[str, str, str], ...]:
    if options.journal is None:
        return ()
    closed = []
    for record in unfinished(options.journal.records()):
        became = _became(record)
        if options.journal.end(record, became, {"recovered": True}):
            closed.append((record.operation, record.patch, became))
    return tuple(closed)


def _became(record: Record) -> str:
    """The outcome of an interrupted change: the patch's state now, in the kernel or the store."""
    if record.operation in installing.OPERATIONS:
        try:
            return installing.became(record.patch, str(record.details.get("release", "")))
        except Refusal as refusal:
            return refusal.code
    if record.boot != running.boot_id():
        return "ended-by-reboot"
    patch = current().read(modules.loaded_as(record.patch))
    if patch is None:
        return "not-loaded" if record.operation == "load" else "unloaded"
    return "loaded" if patch.enabled else "out-of-force"
