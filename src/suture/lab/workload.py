# SPDX-License-Identifier: GPL-2.0-or-later
"""Work that keeps the guest's processors and its tasks busy while live patches come and go.

``workload.sh`` does it, of what the guest has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from suture.errors import LAB_WORKLOAD_ENDED, Refusal
from suture.lab import initramfs
from suture.lab.machine import Machine

SCRIPT = "/lab/workload"
PIDS = "/run/workload"

START = f"""setsid sh {SCRIPT} </dev/null >/run/workload.log 2>&1 &
echo $! >{PIDS}"""
STOP = f"kill -KILL -$(cat {PIDS})"
LOOK = f"kill -0 $(cat {PIDS})"
LOG = "tail -n 20 /run/workload.log"


def guest_files() -> dict[str, bytes]:
    """Return the workload's file: path in the guest -> content."""
    return {SCRIPT: initramfs.script("workload.sh")}


def look(machine: Machine) -> None:
    """Look whether all of the workload is still at work.

    :raises Refusal: ``lab-workload-ended``, ``lab-deadline``, ``lab-guest-died``
    """
    if machine.run(LOOK).status != 0:
        said = machine.run(LOG).output.decode(errors="replace").splitlines()
        raise Refusal(LAB_WORKLOAD_ENDED, SCRIPT, "part of it has ended", evidence=tuple(said))


@contextmanager
def under_way(machine: Machine) -> Iterator[None]:
    """Keep the guest busy during the block."""
    machine.run(START)
    try:
        yield
    finally:
        with suppress(Refusal):  # of a guest that has died in the block, or was interrupted
            machine.run(STOP)
