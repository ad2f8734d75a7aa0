# SPDX-License-Identifier: GPL-2.0-or-later
"""Take a live patch out of force and its module out of memory, or leave it in force as before:
nothing in between.

A patch that is on its way into force is turned round.  The module of one that is out of force
already is unloaded.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from suture.core import change, checks, lock, modules, transition
from suture.core.change import Options, Outcome
from suture.core.cores import current
from suture.core.patches import LoadedPatch
from suture.core.replacing import EarlierFunction
from suture.errors import (
    CHANGE_INTERRUPTED,
    MODULE_STAYS,
    PATCH_NOT_LOADED,
    TRANSITION_STUCK,
    TRANSITION_TIMED_OUT,
    TRANSITION_UNDER_WAY,
    Refusal,
)
from suture.host import progress

OUT_OF_FORCE = "it is out of force, and its module stays in memory until the reboot"


@dataclass(frozen=True, slots=True)
class Unloaded:
    """A live patch that is out of force.

    :ivar name: the name of its module.
    :ivar seconds: how long the transition took.
    :ivar recorded: whether the outcome is in the journal.
    :ivar live_patch: the name that the live patch was built with.
    :ivar stays: why its module stays in memory until the reboot; empty for one that is gone.
    :ivar in_force: the live patches that are in force still, or on their way there.
    :ivar taken_over: functions of it that others replace too, and whose code runs now.
    """

    name: str
    seconds: float
    recorded: bool
    live_patch: str
    stays: tuple[str, ...] = ()
    in_force: tuple[str, ...] = ()
    taken_over: tuple[EarlierFunction, ...] = ()


def unload(name: str, options: Options | None = None) -> Unloaded:
    """Take a live patch out of force and unload its module, unless that stays in memory.

    :raises Refusal: ``patch-not-loaded``, ``transition-under-way``, ``transition-timed-out``,
        ``transition-stuck``, ``module-stays``, ``change-interrupted``, ``another-at-work``,
        ``journal-unwritable``, and what `suture.core.checks.may_change` refuses
    """
    chosen = options or Options()
    checks.may_change(f"unloading {name}")
    with lock.held(f"unload {name}", wait=chosen.wait):
        name = modules.loaded_as(name)
        patch = current().read(name)
        module = modules.read(name)
        if patch is None and module in modules.staying():
            raise Refusal(PATCH_NOT_LOADED, name, OUT_OF_FORCE)
        if patch is None and module not in modules.left_over():
            raise Refusal(PATCH_NOT_LOADED, name, "no live patch of this name is in force")
        live_patch, stays = modules.live_patch_name(name), modules.stays(name)
        moving = current().in_transition()
        if moving is not None and moving.name != name:
            raise Refusal(
                TRANSITION_UNDER_WAY, name, f"the transition of {moving.name} is still under way"
            )
        details: dict[str, object] = {"build_id": module.build_id if module else ""}
        with change.recorded(chosen.journal, "unload", live_patch, details) as outcome:
            seconds = _take_out(name, chosen, outcome) if patch is not None else 0.0
            drop(name)
            outcome.result = "out-of-force" if stays else "unloaded"
        others = [one for one in current().patches() if one.enabled and one.name != name]
        return Unloaded(
            name,
            seconds,
            outcome.recorded,
            live_patch,
            stays,
            tuple(modules.live_patch_name(one.name) for one in others),
            _taken_over(patch, others),
        )


def _taken_over(
    patch: LoadedPatch | None, others: Sequence[LoadedPatch]
) -> tuple[EarlierFunction, ...]:
    """Return the functions of the live patch that others have; the newest one's code runs."""
    places = patch.functions if patch is not None else frozenset()
    newest = {place: other.name for other in others for place in other.functions}
    return tuple(
        EarlierFunction(newest[place], *place) for place in sorted(places) if place in newest
    )


def drop(name: str) -> None:
    """Unload a module that is out of force, unless it stays in memory until the reboot.

    :raises Refusal: ``module-stays``
    """
    if modules.stays(name):
        return
    with progress.step("Unloading the module", name):
        if not change.drop_module(name):
            held = modules.read(name)
            found = f"its module is still in use (references: {held.references if held else 0})"
            raise Refusal(MODULE_STAYS, name, found)


def _take_out(name: str, options: Options, outcome: Outcome) -> float:
    """Seconds that it took."""
    if outcome.signals:
        raise Refusal(CHANGE_INTERRUPTED, name, "nothing has changed")
    _begin(name)
    with progress.step("Waiting for all tasks to run the old code", name):
        waited = transition.out_of_force(name, options.timeout, outcome.signals)
    outcome.details["seconds"] = round(waited.seconds, 3)
    patch = current().read(name)
    if patch is None:
        return waited.seconds
    if outcome.signals:
        back(name, options, (), "a signal stopped it")
        raise Refusal(CHANGE_INTERRUPTED, name, "it is in force as before")
    blocking = transition.behind(patch)
    evidence = change.evidence(blocking)
    found = f"{change.number(blocking)} did not leave it within {options.timeout:g} s"
    if not options.revert:
        raise Refusal(
            TRANSITION_STUCK, name, f"{found}; not reversed (--no-revert)", evidence=evidence
        )
    back(name, options, evidence, found)
    raise Refusal(TRANSITION_TIMED_OUT, name, f"{found}; it is in force again", evidence=evidence)


def _begin(name: str) -> None:
    """Start the transition out of force.

    :raises Refusal: ``transition-under-way``: another transition has begun, not by Suture
    """
    patch = current().read(name)
    if patch is None or not patch.enabled:
        return
    try:
        current().set_enabled(name, False)
    except OSError as error:
        if error.errno == errno.EBUSY:  # kernel/livepatch/core.c: __klp_disable_patch()
            raise Refusal(
                TRANSITION_UNDER_WAY, name, "the transition of another live patch has begun"
            ) from error
        if error.errno not in (
            errno.EINVAL,
            errno.ENOENT,
            errno.ENODEV,
        ):  # it is on its way out, or has gone
            raise


def back(name: str, options: Options, evidence: tuple[str, ...], found: str) -> None:
    """Put a live patch into force again by reversing a transition that has not ended.

    :raises Refusal: ``transition-stuck``
    """
    with progress.step("Reversing the transition", name):
        with suppress(OSError):  # it has gone in the meantime, or is on its way already
            current().set_enabled(name, True)
        waited = transition.into_force(name, options.way_back)
    patch = current().read(name)
    if patch is None:
        drop(name)
        raise Refusal(
            CHANGE_INTERRUPTED,
            name,
            f"{found}, but then it went out of force after all; it is gone",
        )
    if not waited.ended:
        stuck = change.evidence(transition.behind(patch))
        raise Refusal(
            TRANSITION_STUCK,
            name,
            f"{found}, and the reversal does not end",
            evidence=stuck or evidence,
        )
