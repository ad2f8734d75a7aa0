# SPDX-License-Identifier: GPL-2.0-or-later
"""Work that keeps the guest's processors and its tasks busy while live patches come and go.

``workload.sh`` does it, of what the guest has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from suture.errors import Refusal
from suture.lab import initramfs
from suture.lab.machine import Machine

SCRIPT = "/lab/workload"
PIDS = "/run/workload"

START = f"""setsid sh {SCRIPT} </dev/null >/run/workload.log 2>&1 &
echo $! >{PIDS}"""
STOP = f"kill -KILL -$(cat {PIDS})"


def guest_files() -> dict[str, bytes]:
    """Return the workload's file: path in the guest -> content."""
    return {SCRIPT: initramfs.script("workload.sh")}


@contextmanager
def under_way(machine: Machine) -> Iterator[None]:
    """Keep the guest busy during the block."""
    machine.run(START)
    try:
        yield
    finally:
        with suppress(Refusal):  # of a guest that has died in the block, or was interrupted
            machine.run(STOP)
