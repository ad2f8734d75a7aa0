# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's scripts in the guest: one that does not end is ended, and the guest lives on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from suture.lab.machine import STEP_DEADLINE, Machine
from suture.lab.results import ScriptPhase, ScriptRun

DIRECTORY = "/lab/scripts"
SCRIPT_DEADLINE = 60.0

ENDED_LATE = 124
"""Exit status of a script that was ended at its deadline, as of timeout(1)."""

RUN = """rm -f /run/ended /run/late; mkfifo /run/ended; exec 4<>/run/ended 5>&2 2>/dev/null
export phase={phase} round={round}
{{ read -t {deadline:.3f} ended <&4 || {{ : >/run/late; kill -KILL -$(cat /run/script); }}; }} &
setsid sh -c 'echo $$ >/run/script; exec sh "$0" 2>&5 4>&- 5>&-' {path}
status=$?
echo >&4; wait
[ ! -e /run/late ] || exit {late}
exit $status"""
"""The script is the leader of a process group, which is killed at the deadline.  It is not the one
in the background: what a shell starts with ``&`` ignores SIGINT, and so does all that it starts.
A process that sleeps until the deadline would be in the way of a live patch of
``hrtimer_nanosleep()``; the shell waits in poll().  What the shell itself says (``Killed``) is no
output of the script."""


@dataclass(frozen=True, slots=True)
class GuestScript:
    """A script for busybox's ``sh``.

    :ivar name: for messages.
    """

    name: str
    content: bytes


def guest_files(scripts: Sequence[GuestScript]) -> Mapping[str, bytes]:
    """Return the scripts' files: path in the guest -> content."""
    return {_path(number): script.content for number, script in enumerate(scripts)}


def run(
    machine: Machine,
    script: GuestScript,
    number: int,
    *,
    phase: ScriptPhase,
    round_number: int,
    deadline: float,
) -> ScriptRun:
    """Run a script whose file is in the guest; it gets ``$phase`` and ``$round``.

    :param number: its place among `guest_files`.
    :param deadline: seconds.
    :raises Refusal: ``lab-guest-died``; ``lab-deadline`` if the guest cannot even end it
    """
    command = RUN.format(
        phase=phase.value,
        round=round_number,
        path=_path(number),
        deadline=deadline,
        late=ENDED_LATE,
    )
    result = machine.run(command, deadline=deadline + STEP_DEADLINE)
    late = result.status == ENDED_LATE and machine.run("[ -e /run/late ]").status == 0
    return ScriptRun(phase, result.status, result.text, script.name, round_number, late)


def _path(number: int) -> str:
    return f"{DIRECTORY}/{number}"
