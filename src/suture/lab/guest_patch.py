# SPDX-License-Identifier: GPL-2.0-or-later
"""A live patch module in the guest: loading it, taking it back, and waiting for transitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from suture.core.livepatch import DIRECTORY
from suture.errors import (
    LAB_LOAD_FAILED,
    LAB_NOT_ENABLED,
    LAB_PREPARE_FAILED,
    LAB_TRANSITION_STALLED,
    LAB_UNLOAD_FAILED,
    Kind,
    Refusal,
)
from suture.kernel import modules
from suture.lab.machine import EVIDENCE_LINES, STEP_DEADLINE, CommandResult, Machine
from suture.model import VMLINUX, LivePatch

SYSFS = f"/{DIRECTORY}"

TRANSITION_DEADLINE = 60.0

STALLED = f"""for task in /proc/[0-9]*/task/[0-9]*; do
    [ "$(cat "$task/patch_state")" = "$behind" ] &&
        echo "${{task##*/}} $(cat "$task/comm")" && cat "$task/stack"
done 2>/dev/null | head -n {EVIDENCE_LINES}"""
"""Show the tasks whose ``patch_state`` is `$behind`, with their stacks
(``Documentation/livepatch/livepatch.rst``)."""

WAIT = """rm -f /run/never; mkfifo /run/never; exec 4<>/run/never
until=$((${{EPOCHSECONDS:-0}} + {seconds}))
while ! {{ {condition}; }}; do
    [ "${{EPOCHSECONDS:-0}}" -le $until ] || exit 1
    read -t 0.05 never <&4
done
exit 0"""
"""The guest's own shell polls: on a busy emulated processor, a request takes half a second.  It
sleeps in poll() and starts no process, so that it is not itself in the way of a transition.  Its
clock is no file: what ``/proc/uptime`` says may be what the live patch changes.  In a shell without
that clock, the deadline of the whole request ends it (``lab-deadline``)."""

IN_FORCE = '[ ! -e {sysfs} ] || {{ read -r going <{sysfs}/transition && [ "$going" = 0 ]; }}'
GONE = "[ ! -e {sysfs} ]"
"""The core removes the directory when the last task has left the new code."""

UNLOAD = """for try in 1 2 3 4 5 6 7 8 9 10; do
    rmmod {name} && exit
    sleep 0.2
done 2>/run/reason; cat /run/reason; exit 1"""
"""The core drops its hold on the module a moment after the directory is gone
(klp_free_patch_finish())."""


@dataclass(frozen=True, slots=True)
class ModuleNeeds:
    """What a live patch module needs in a guest.

    :ivar name: its name in ``/sys/module``.
    :ivar modules: those that it changes and those that it depends on.
    """

    name: str
    modules: tuple[str, ...]

    @classmethod
    def of(cls, module: bytes, patch: LivePatch) -> ModuleNeeds:
        """Read them from the module.

        :raises Refusal: ``module-malformed``
        """
        info = dict(modules.modinfo(module, patch.name))
        changed = [item.name for item in patch.objects if item.name != VMLINUX]
        depends = [name for name in info.get("depends", "").split(",") if name]
        return cls(info.get("name", patch.name), tuple(dict.fromkeys([*changed, *depends])))


@dataclass(frozen=True, slots=True)
class GuestPatch:
    """A live patch module whose file is in the guest.

    :ivar name: the module's.
    :ivar path: of the file, in the guest.
    :ivar log_from: the first line of the kernel log that may be about it.
    :ivar deadline: seconds for each transition.
    """

    machine: Machine
    name: str
    path: str
    log_from: int
    deadline: float = TRANSITION_DEADLINE

    @property
    def sysfs(self) -> str:
        """Its directory in the guest's sysfs."""
        return f"{SYSFS}/{self.name}"

    def prepare(self, needed: Sequence[str]) -> None:
        """Load modules that it needs.

        :raises Refusal: ``lab-prepare-failed``
        """
        for name in needed:
            self._check(self.machine.run(f"modprobe {name}"), LAB_PREPARE_FAILED, f"loading {name}")

    def load(self) -> None:
        """Load it; its transition begins.

        :raises Refusal: ``lab-load-failed``
        """
        self._check(self.machine.run(f"insmod {self.path}"), LAB_LOAD_FAILED, "loading it")

    def wait_until_in_force(self) -> None:
        """Wait until all tasks run the new code.

        :raises Refusal: ``lab-transition-stalled``, ``lab-not-enabled``
        """
        self._wait(IN_FORCE.format(sysfs=self.sysfs), "0")
        if self.machine.run(f'[ "$(cat {self.sysfs}/enabled)" = 1 ]').status != 0:
            raise self._refusal(LAB_NOT_ENABLED, "it is loaded but not enabled")

    def disable(self) -> None:
        """Disable it, and wait until all tasks run the old code.

        :raises Refusal: ``lab-unload-failed``, ``lab-transition-stalled``
        """
        disabled = self.machine.run(f"echo 0 >{self.sysfs}/enabled")
        self._check(disabled, LAB_UNLOAD_FAILED, "disabling it")
        self._wait(GONE.format(sysfs=self.sysfs), "1")

    def unload(self) -> None:
        """Remove the module, which is disabled.

        :raises Refusal: ``lab-unload-failed``
        """
        unloaded = self.machine.run(UNLOAD.format(name=self.name))
        self._check(unloaded, LAB_UNLOAD_FAILED, "unloading it")

    def _wait(self, condition: str, behind: str) -> None:
        """Wait until a condition of the shell holds; at the deadline, show the tasks whose patch
        state is still `behind`."""
        seconds = math.ceil(self.deadline)
        waiting = WAIT.format(condition=condition, seconds=seconds)
        if self.machine.run(waiting, deadline=seconds + STEP_DEADLINE).status != 0:
            stalled = self.machine.run(f"behind={behind}\n{STALLED}").text.splitlines()
            found = f"the transition did not end in {self.deadline:g} s"
            raise Refusal(LAB_TRANSITION_STALLED, self.name, found, evidence=stalled)

    def _check(self, result: CommandResult, kind: Kind, doing: str) -> None:
        if result.status != 0:
            said = result.text.splitlines()
            raise self._refusal(kind, f"{doing} failed with status {result.status}", *said)

    def _refusal(self, kind: Kind, found: str, *said: str) -> Refusal:
        log = self.machine.kernel_log().splitlines()[self.log_from :]
        return Refusal(kind, self.name, found, evidence=[*said, *log[-EVIDENCE_LINES:]])
