# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads a live patch, and ends in one of two states: all tasks run it, or the kernel is as it was.

1. Check for obstacles (`suture.core.checks`), and whether earlier fixes would be lost
   (`suture.core.replacing`).  Nothing has changed yet.
   The host's own programs may refuse it too (`suture.core.hooks`).
2. Record the intent in the journal.
3. Give the module to the kernel from a sealed memory file.  Its init function starts the
   transition.
4. Wait for all tasks to switch.  If they do not in time, or a signal comes, reverse the transition,
   wait until it ends, and unload the module.
5. Unload the modules of patches that this one replaced, except those that stay in memory.
6. Record the outcome.

If the process is killed between two steps, the transition ends without it.  `suture.core.recover`
finds in sysfs and in the journal what remains to be done.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from suture.core import (
    change,
    checks,
    hooks,
    keyrings,
    kmsg,
    lock,
    modules,
    redirections,
    replacing,
    syscalls,
    transition,
    unload,
)
from suture.core.change import Options
from suture.core.checks import Module
from suture.core.cores import current
from suture.core.hooks import HookEvent
from suture.errors import (
    ALREADY_LOADED,
    CHANGE_INTERRUPTED,
    KERNEL_REFUSED,
    SIGNATURE_REQUIRED,
    TRANSITION_STUCK,
    TRANSITION_TIMED_OUT,
    Refusal,
)
from suture.host import progress

SIGNATURE_ERRORS = (errno.EKEYREJECTED, errno.ENOKEY, errno.EBADMSG)
"""Errors of ``kernel/module/signing.c: module_sig_check()`` where signatures are enforced.  A
locked-down kernel returns ``EPERM``, which has other reasons too, and logs why."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A live patch that all tasks run.

    :ivar signer: the kernel's key that signed it, if the kernel requires a signature and shows its
        keys; otherwise "".
    :ivar seconds: how long the transition took.
    :ivar replaced: the live patches that it replaced.
    :ivar kept: those of them with modules still in memory.
    :ivar kernel: the kernel's messages.
    :ivar recorded: whether the outcome is in the journal.
    :ivar live_patch: the name that the live patch was built with.  `name`, that of its module, is
        another one if an earlier one of that name stays in memory.
    :ivar stays: why it will stay in memory until the reboot.
    :ivar staying: those of `kept` that stay in memory until the reboot.
    :ivar unseen: why BPF programs at its functions could not be looked for, and how to make that
        possible; "" where they were.
    :ivar hooks: what went wrong with the host's own programs that were told.
    """

    name: str
    sha256: str
    build_id: str
    signer: str
    seconds: float
    replaced: tuple[str, ...]
    kept: tuple[str, ...]
    kernel: tuple[str, ...]
    recorded: bool
    live_patch: str
    stays: tuple[str, ...] = ()
    staying: tuple[str, ...] = ()
    unseen: str = ""
    hooks: tuple[str, ...] = ()


def load(data: bytes, where: str, options: Options | None = None) -> Loaded:
    """Load the live patch module `data`.

    :param where: the file it came from, for messages and the journal.
    :raises Refusal: what `suture.core.checks` refuses, ``earlier-fix-lost``, ``hook-refused``,
        ``path-untrusted`` (of hooks), ``another-at-work``, ``journal-unwritable``,
        ``kernel-refused``, ``transition-timed-out``, ``transition-stuck``, ``change-interrupted``
    """
    chosen = options or Options()
    module = checks.read(data, where)
    checks.may_change(f"loading {module.name}")
    facts: dict[str, object] = {"patch": module.live_patch, "file": change.origin(where)}
    try:
        done, facts = _load(module, data, chosen, facts)
    except Refusal as refusal:
        if refusal.kind is not ALREADY_LOADED:  # as a boot finds what the initramfs has loaded
            hooks.tell(HookEvent.FAILED, facts | {"error": refusal.as_dict()})
        raise
    wrong = hooks.tell(HookEvent.POST_LOAD, facts)
    return replace(done, hooks=wrong)


def _load(
    module: Module, data: bytes, chosen: Options, facts: dict[str, object]
) -> tuple[Loaded, dict[str, object]]:
    """Load it, and return with it what hooks are told."""
    where = module.where
    with lock.held(f"load {module.name}", wait=chosen.wait):
        with progress.step("Checking", module.name):
            signer = checks.may_load(module, ignore_probes=chosen.ignore_probes)
            module = checks.under_free_name(module)
        patches = current().patches()
        if not chosen.replace:
            lost = replacing.lost_functions(module.inspection.patch, patches)
            replacing.refuse_lost(lost, where)
        before = [patch.name for patch in patches]
        sha256 = hashlib.sha256(data).hexdigest()
        details = _details(module, sha256, before)
        details |= {"cause": chosen.cause} if chosen.cause else {}
        facts = facts | details
        hooks.ask(facts)
        with change.recorded(chosen.journal, "load", module.live_patch, details) as outcome:
            with kmsg.Listener() as log:
                seconds = _into_force(module, chosen, before, log, outcome.signals)
                replaced, kept = _obsolete(before)
                staying = [name for name in kept if modules.stays(name)]
                said = log.said(module.name)
            outcome.result = "loaded"
            outcome.details |= {
                "seconds": round(seconds, 3),
                "replaced": replaced,
                "kept": kept,
                "kernel": said,
            }
            outcome.details |= {"staying": staying} if staying else {}
        done = Loaded(
            module.name,
            sha256,
            module.build_id,
            str(signer or ""),
            seconds,
            tuple(replaced),
            tuple(kept),
            said,
            outcome.recorded,
            module.live_patch,
            module.inspection.patch.stays,
            tuple(staying),
            redirections.unreadable(),
        )
        return done, facts | outcome.details


def _details(module: Module, sha256: str, before: list[str]) -> dict[str, object]:
    functions = module.inspection.patch.each_function()
    fixes = [str(fix) for fix in module.inspection.patch.fixes]
    named = {"as": module.name} if module.name != module.live_patch else {}
    accepted = [str(one) for one in module.inspection.patch.findings if one.because]
    return (
        named
        | ({"accepted": accepted} if accepted else {})
        | ({"fixes": fixes} if fixes else {})
        | {
            "file": change.origin(module.where),
            "sha256": sha256,
            "build_id": module.build_id,
            "release": module.inspection.release,
            "replace": module.inspection.patch.replace,
            "functions": [f"{objname}:{function.old_name}" for objname, function in functions],
            "before": before,
        }
    )


def _into_force(
    module: Module,
    options: Options,
    before: Collection[str],
    log: kmsg.Listener,
    signals: Sequence[int],
) -> float:
    """Insert the module and wait for the transition to end; undo it if it does not.

    :return: seconds
    """
    name = module.name
    if signals:
        raise Refusal(CHANGE_INTERRUPTED, name, "nothing has changed")
    _insert(module, log)
    with progress.step("Waiting for all tasks to run the new code", name):
        waited = transition.into_force(name, options.timeout, signals)
    patch = current().read(name)
    if patch is not None and patch.enabled and not patch.transition:
        return waited.seconds
    if patch is None:
        unload.drop(name)
        raise Refusal(
            KERNEL_REFUSED,
            name,
            "the live patch went out of force by itself",
            evidence=log.said(name),
        )
    if signals:
        raise Refusal(CHANGE_INTERRUPTED, name, undo(name, options, before))
    blocking = transition.behind(patch)
    evidence = change.evidence(blocking)
    found = f"{change.number(blocking)} did not switch to it within {options.timeout:g} s"
    if not options.revert:
        raise Refusal(
            TRANSITION_STUCK, name, f"{found}; not reversed (--no-revert)", evidence=evidence
        )
    raise Refusal(
        TRANSITION_TIMED_OUT, name, f"{found}; {undo(name, options, before)}", evidence=evidence
    )


def _insert(module: Module, log: kmsg.Listener) -> None:
    """Give the module to the kernel.

    :raises Refusal: ``kernel-refused``, ``signature-required``
    """
    descriptor = syscalls.sealed(module.data)
    try:
        syscalls.finit_module(descriptor)
    except OSError as error:
        number = error.errno or 0
        found = f"finit_module: {errno.errorcode.get(number, number)} ({error.strerror})"
        said = log.said(module.name)
        if number in SIGNATURE_ERRORS or any(line.startswith("Lockdown: ") for line in said):
            raise Refusal(
                SIGNATURE_REQUIRED, module.where, found, remedy=keyrings.way_out(), evidence=said
            ) from error
        raise Refusal(KERNEL_REFUSED, module.where, found, evidence=said) from error
    finally:
        os.close(descriptor)


def undo(name: str, options: Options, before: Collection[str]) -> str:
    """Reverse the transition and unload the module.

    :return: how things are now, for a message
    :raises Refusal: ``transition-stuck``
    """
    with progress.step("Reversing the transition", name):
        patch = current().read(name)
        if patch is not None and patch.enabled:
            with suppress(OSError):  # it has gone, or is on its way out already
                current().set_enabled(name, False)
        if set(before) - {loaded.name for loaded in current().patches()}:
            return _keep(name, options, before)
        waited = transition.out_of_force(name, options.way_back)
    patch = current().read(name)
    if patch is not None and not waited.ended:
        found = f"tasks did not switch back either within {options.way_back:g} s"
        raise Refusal(
            TRANSITION_STUCK, name, found, evidence=change.evidence(transition.behind(patch))
        )
    unload.drop(name)
    stays = " but for its module, which stays in memory" if modules.stays(name) else ""
    return f"the transition was reversed, and the kernel is as it was{stays}"


def _keep(name: str, options: Options, before: Collection[str]) -> str:
    """Stay with the new code: the transition ended just before its reversal, and the live patches
    that it replaced are gone."""
    try:
        current().set_enabled(name, True)
        ended = (
            transition.into_force(name, options.way_back).ended and current().read(name) is not None
        )
    except OSError:
        ended = False
    replaced, _ = _obsolete(before)
    if not ended:
        unload.drop(name)
        found = f"it is out of force, and so is what it replaced: {', '.join(replaced)}"
        raise Refusal(TRANSITION_STUCK, name, found, remedy="Load the live patch again.")
    return f"then they did: it is in force and has replaced {', '.join(replaced)}"


def _obsolete(before: Collection[str]) -> tuple[list[str], list[str]]:
    """Unload the patches of `before` that are no longer in force.

    :return: those patches, and those of them still in memory
    """
    replaced, kept = [], []
    for name in before:
        patch = current().read(name)
        if patch is not None and patch.enabled:
            continue
        replaced.append(name)
        gone = change.wait_until_gone(name) and not modules.stays(name)
        if not (gone and change.drop_module(name)):
            kept.append(name)
    return replaced, kept
