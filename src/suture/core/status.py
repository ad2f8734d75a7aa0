# SPDX-License-Identifier: GPL-2.0-or-later
"""What is true now: the kernel's live patches, what the journal knows of each, what was left
undone, and whether the next boot would bring the same.

Everything that concerns the present comes from the kernel; the journal only says who and when, and
what was begun.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from suture.core import host, lock, modules, running, tasks
from suture.core.cores import current
from suture.core.drift import Drift, InForce, drift
from suture.core.host import Taint
from suture.core.journal import Journal, Record, RecordPhase, unfinished
from suture.core.patches import LoadedPatch
from suture.host import paths

if TYPE_CHECKING:
    from suture.core.following import Following
    from suture.core.redirections import Hindrance
    from suture.core.unprotected import Unprotected
    from suture.core.update_share import UpdateShare
    from suture.model import Fix

SETTINGS = Path("/etc/suture/follow.toml")
"""Of a host that follows a repository (`suture.core.following`)."""

STALLED_AFTER = 90.0
"""Seconds after which a transition that nobody watches is reported as one that does not end: by
then the core has sent its fake signals six times."""


class Verdict(IntEnum):
    """What ``suture status --check`` ends with.  The last in this order that applies."""

    OK = 0
    DRIFT = 6  # what is in force is not what is kept for the running kernel
    UNFOLLOWED = 10  # the repository that this host follows is not heard, or does not get through
    UNPROTECTED = 8  # kept for other kernels, and nothing of it is in the running one
    INEFFECTIVE = 7  # the old code of a function runs, though a live patch replaces it
    IN_TRANSITION = 3
    LEFT_UNDONE = 4  # modules left over, or a command that was interrupted: 'suture recover'
    STALLED = 5
    UNSUPPORTED = 9  # the running kernel cannot have live patches


@dataclass(frozen=True, slots=True)
class Loading:
    """What the journal says of how a live patch came into the kernel.

    :ivar time: UTC, ISO 8601.
    :ivar accepted: dangers that its author accepted, each with the reason.
    :ivar seconds: how long its transition took; None where that is not known.
    """

    time: str
    user: str
    file: str
    sha256: str
    accepted: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PatchStatus:
    """One live patch.

    :ivar loading: None where it was not Suture that loaded it, or the journal may not be read.
    :ivar seconds: since the transition began; None where there is none, or it is not known.
    :ivar count: how far a transition is; None without one, and where this user may not see all
        tasks.
    :ivar behind: the tasks it waits for.
    :ivar live_patch: the name that the live patch was built with.
    :ivar stays: why it will stay in memory until the reboot.
    :ivar fixes: what it is for, as its module says.
    :ivar update: how many fixes of a newer version it has, of those that reach this host.
    """

    patch: LoadedPatch
    build_id: str
    loading: Loading | None
    seconds: float | None
    count: tasks.MovedTasks | None
    behind: tuple[tasks.Task, ...]
    live_patch: str = ""
    stays: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    update: UpdateShare | None = None

    @property
    def name(self) -> str:
        """The live patch's own name; that of its module may be another one."""
        return self.live_patch or self.patch.name


@dataclass(frozen=True, slots=True)
class StayingModule:
    """A module that is out of force and stays in memory until the reboot.

    :ivar live_patch: the name that the live patch was built with.
    :ivar stays: why it stays.
    """

    name: str
    live_patch: str
    stays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """The whole.

    :ivar at_work: the process that is changing live patches now.
    :ivar left_over: modules of live patches that are out of force.
    :ivar forced: those of them that 'suture force' has put out of force, and that stay until the
        next boot.
    :ivar interrupted: what was begun and never ended, oldest first.
    :ivar drift: what is not as it is kept; nothing while somebody is at work.
    :ivar last_change: time of the last outcome in the journal, or "".
    :ivar staying: modules of live patches that are out of force, and that stay in memory because of
        what they handed out.
    :ivar hindrances: functions of live patches in force that BPF programs are attached to, or that
        the old code runs for.
    :ivar unseen: why there may be more hindrances than these, and how to make them visible; "" if
        all can be seen, or no live patch is in force.
    :ivar unprotected: live patches that are kept for other kernels alone, of which the running one
        has nothing.
    :ivar refusals: changes that were refused once they had begun, by code, as far back as the
        journal goes.
    :ivar newer_kernel_lacks: the names of installed live patches that a reboot into `newer_kernel`
        would be without.
    :ivar following: how this host follows a repository; None for one that does not.
    """

    release: str
    supported: bool
    patches: tuple[PatchStatus, ...]
    at_work: int | None
    left_over: tuple[str, ...]
    forced: tuple[str, ...]
    interrupted: tuple[Record, ...]
    drift: tuple[Drift, ...]
    last_change: str
    taints: tuple[Taint, ...]
    newer_kernel: str | None
    staying: tuple[StayingModule, ...] = ()
    hindrances: tuple[Hindrance, ...] = ()
    unseen: str = ""
    unprotected: tuple[Unprotected, ...] = ()
    refusals: Mapping[str, int] = field(default_factory=dict)
    newer_kernel_lacks: tuple[str, ...] = ()
    following: Following | None = None

    @property
    def recoverable(self) -> tuple[str, ...]:
        """Those of `left_over` that 'suture recover' can unload."""
        return tuple(name for name in self.left_over if name not in self.forced)

    @property
    def verdict(self) -> Verdict:
        """The state as a whole: the most serious that applies."""
        if not self.supported:
            return Verdict.UNSUPPORTED
        moving = [status for status in self.patches if status.patch.transition]
        if (
            any(status.seconds is None or status.seconds > STALLED_AFTER for status in moving)
            and self.at_work is None
        ):
            return Verdict.STALLED
        if self.at_work is None and (self.left_over or self.interrupted):
            return Verdict.LEFT_UNDONE
        if moving:
            return Verdict.IN_TRANSITION
        if not all(hindrance.is_in_force for hindrance in self.hindrances):
            return Verdict.INEFFECTIVE
        if self.unprotected:
            return Verdict.UNPROTECTED
        if self.following is not None and self.following.is_troubled:
            return Verdict.UNFOLLOWED
        return Verdict.DRIFT if self.drift else Verdict.OK


def status(journal: Journal | None = None) -> Status:
    """Look at the kernel and the journal.  Every user may; some see less."""
    records = (journal or Journal()).records()
    at_work = lock.holder()
    open_ends = unfinished(records)
    outcomes = [record for record in records if record.phase is RecordPhase.OUTCOME]
    now = running.boot_id()
    of_this_boot = [record for record in records if record.boot == now]
    patches = tuple(_patch(patch, of_this_boot) for patch in current().patches())
    forced = _forced(of_this_boot)
    left_over = tuple(module.name for module in modules.left_over()) if at_work is None else ()
    hindrances, unseen = _by_ftrace(patches if at_work is None else ())
    newer = host.newer_kernel()
    return Status(
        release=running.release(),
        supported=current().is_available,
        patches=patches,
        at_work=at_work,
        left_over=left_over,
        forced=tuple(name for name in left_over if name in forced),
        interrupted=tuple(
            record for record in open_ends if at_work is None or record.pid != at_work
        ),
        drift=drift(_in_force(patches)) if at_work is None else (),
        last_change=outcomes[-1].time if outcomes else "",
        taints=host.taints(),
        newer_kernel=newer,
        staying=staying_modules(),
        hindrances=hindrances,
        unseen=unseen,
        unprotected=_unprotected(patches) if at_work is None else (),
        refusals=_refusals(outcomes),
        newer_kernel_lacks=_lacking(newer) if newer else (),
        following=_following(),
    )


def _following() -> Following | None:
    """Return how this host follows a repository.  Most do not, and need not import what reads
    it."""
    if not SETTINGS.exists():
        return None
    from suture.core.following import remembered

    return remembered()


def _by_ftrace(patches: Sequence[PatchStatus]) -> tuple[tuple[Hindrance, ...], str]:
    """Return what hinders live patches, and why there may be more."""
    if not patches:
        return (), ""
    from suture.core.redirections import look

    view = look(item.patch for item in patches)
    return view.hindrances, view.unseen


def _unprotected(patches: Sequence[PatchStatus]) -> tuple[Unprotected, ...]:
    """Return the live patches that only other kernels have."""
    if not kept_for_others():
        return ()
    from suture.core.unprotected import unprotected

    in_force = [item for item in patches if item.patch.enabled]
    return unprotected(
        {item.name for item in in_force}, [fix for item in in_force for fix in item.fixes]
    )


def _lacking(release: str) -> tuple[str, ...]:
    from suture.core.unprotected import lacking

    return lacking(release)


def kept_for_others() -> bool:
    """Whether the store has a directory for another kernel than the running one.

    Most hosts have none: their 'suture status' need not import the store.
    """
    now = running.release()
    try:
        with os.scandir(paths.STATE) as entries:
            return any(entry.name != now and entry.is_dir() for entry in entries)
    except OSError:
        return False


def staying_modules() -> tuple[StayingModule, ...]:
    """The modules that are out of force and stay in memory, the last one that was loaded first."""
    return tuple(
        StayingModule(module.name, module.staying.name, module.staying.reasons)
        for module in modules.staying()
        if module.staying is not None
    )


def _patch(patch: LoadedPatch, of_this_boot: Sequence[Record]) -> PatchStatus:
    module = modules.read(patch.name)
    live_patch, stays = modules.live_patch_name(patch.name), modules.stays(patch.name)
    about = [record for record in of_this_boot if record.patch == live_patch]
    begun = next((record for record in reversed(about) if record.phase is RecordPhase.INTENT), None)
    return PatchStatus(
        patch,
        module.build_id if module else "",
        _loading(about),
        _since(begun.time) if begun and patch.transition else None,
        tasks.count(current().task_states(), int(patch.enabled)) if patch.transition else None,
        _behind(patch) if patch.transition else (),
        live_patch,
        stays,
        module.fixes if module else (),
        _share(module),
    )


def _share(module: modules.LoadedModule | None) -> UpdateShare | None:
    if module is None or module.update is None:
        return None
    from suture.core.update_share import share

    return share(module.update, {one.name for one in modules.loaded()})


def _behind(patch: LoadedPatch) -> tuple[tasks.Task, ...]:
    """The tasks that have not switched."""
    from suture.core.transition import behind

    return behind(patch)


def _forced(of_this_boot: Sequence[Record]) -> set[str]:
    """What has gone out of force by decree, as far as the journal says: outcomes alone have it."""
    stayed = [record.details.get("stays") for record in of_this_boot if record.operation == "force"]
    return {str(name) for names in stayed if isinstance(names, list) for name in names}


def _in_force(patches: Sequence[PatchStatus]) -> dict[str, InForce]:
    return {
        item.name: InForce(item.build_id, item.loading.sha256 if item.loading else "")
        for item in patches
        if item.patch.enabled
    }


def _loading(about: Sequence[Record]) -> Loading | None:
    """The last load that was begun for a patch of the name."""
    for record in reversed(about):
        if record.operation == "load" and record.phase is RecordPhase.INTENT:
            file, sha256 = record.details.get("file"), record.details.get("sha256")
            accepted = record.details.get("accepted")
            return Loading(
                record.time,
                record.user,
                str(file or ""),
                str(sha256 or ""),
                tuple(map(str, accepted)) if isinstance(accepted, list) else (),
                _seconds_of(record, about),
            )
    return None


def _seconds_of(intent: Record, about: Sequence[Record]) -> float | None:
    outcomes = (
        record for record in about if record.id == intent.id and record.phase is RecordPhase.OUTCOME
    )
    seconds = [record.details.get("seconds") for record in outcomes]
    return next((float(found) for found in seconds if isinstance(found, (int, float))), None)


def _refusals(outcomes: Sequence[Record]) -> dict[str, int]:
    """Count the refusals in the journal by code: only they leave evidence
    (`suture.core.change.recorded`)."""
    codes = [record.result for record in outcomes if "evidence" in record.details]
    return {code: codes.count(code) for code in sorted(set(codes))}


def _since(when: str) -> float | None:
    """Seconds since a record's time; None where the clock says otherwise."""
    try:
        seconds = time.time() - datetime.fromisoformat(when).astimezone(UTC).timestamp()
    except ValueError:
        return None
    return seconds if seconds >= 0 else None
