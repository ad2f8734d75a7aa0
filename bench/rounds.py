# SPDX-License-Identifier: GPL-2.0-or-later
"""Load and unload one live patch many times over in one boot under a busy workload: does anything
leak or complain?

    python -m bench.rounds [--rounds 1000] [--series 6.1]

The live patch is the kernel's own sample.  The rounds are a shell script in the guest, since Python
takes seconds to start there; they use the kernel's interface as `suture.core` does.  Memory is read
before the first and after each hundred rounds, with the workload stopped and caches dropped: a leak
grows.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path

from suture.host import run
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.sources import fetch, fetched
from suture.workspace import kbuild
from suture.workspace.prepare import Workspace, prepare

SAMPLE = "samples/livepatch/livepatch-sample.c"
NAME = "livepatch_sample"

BUSY = """
sh -c 'while :; do cat /proc/cmdline /proc/meminfo >/dev/null; sleep 0.02; done' &
echo $! >>/tmp/busy
sh -c 'while :; do for i in 1 2 3 4; do /bin/true; done; sleep 0.02; done' & echo $! >>/tmp/busy
sh -c 'while :; do dd if=/dev/zero of=/tmp/file bs=64k count=16 2>/dev/null; sleep 0.05; done' &
echo $! >>/tmp/busy
"""

ROUND = f"""
insmod /lp/{NAME}.ko || exit 1
while [ "$(cat /sys/kernel/livepatch/{NAME}/transition)" = 1 ]; do sleep 0.05; done
grep -q 'this has been live patched' /proc/cmdline || exit 2
echo 0 >/sys/kernel/livepatch/{NAME}/enabled || exit 3
while [ -e /sys/kernel/livepatch/{NAME} ]; do sleep 0.05; done
until rmmod {NAME} 2>/dev/null; do sleep 0.02; done
"""

QUIET = """
[ -e /tmp/busy ] && kill -9 $(cat /tmp/busy) 2>/dev/null; rm -f /tmp/busy /tmp/file
sleep 2; sync; echo 3 >/proc/sys/vm/drop_caches; sleep 1
grep -E '^(MemFree|Slab|SUnreclaim|VmallocUsed|Percpu|KernelStack):' /proc/meminfo
"""

AT_ONCE = 10
MEASURED_EVERY = 100
DEADLINE = 1800.0


def build(workspace: Workspace) -> bytes:
    with tempfile.TemporaryDirectory(prefix="suture-bench-") as scratch:
        directory = Path(scratch)
        (directory / Path(SAMPLE).name).write_text((workspace.tree / SAMPLE).read_text())
        (directory / "Makefile").write_text("obj-m += livepatch-sample.o\n")
        command = kbuild.make_command(
            workspace.target.release, workspace.compiler, f"M={directory}", "modules"
        )
        run.check(command, cwd=workspace.tree, env=kbuild.clean_environment())
        return (directory / "livepatch-sample.ko").read_bytes()


def measure(machine: Machine) -> dict[str, int]:
    """KiB of each kind, with the workload stopped."""
    text = machine.run(QUIET, deadline=DEADLINE).text
    return {name: int(kib) for name, kib in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}


def rounds(target: Target, number: int) -> dict[str, object]:
    files = {f"/lp/{NAME}.ko": build(prepare(target))}
    with Machine.boot(target, files=files) as machine:
        # What is allocated once (slabs, ftrace pages) is there after the first rounds.
        _some(machine, AT_ONCE)
        memory = [measure(machine)]
        started = time.monotonic()
        for done in range(0, number, AT_ONCE):
            _some(machine, min(AT_ONCE, number - done))
            if (done + AT_ONCE) % MEASURED_EVERY == 0:
                memory.append(measure(machine))
                print(
                    f"{done + AT_ONCE} rounds, {time.monotonic() - started:.0f} s: {memory[-1]}",
                    file=sys.stderr,
                )
        seconds = time.monotonic() - started
        return {
            "release": target.release,
            "accelerator": machine.accelerator.value,
            "rounds": number,
            "seconds": round(seconds, 1),
            "memory_kib": memory,
            "complaints": [complaint.lines for complaint in machine.complaints()],
        }


def _some(machine: Machine, number: int) -> None:
    script = f"[ -e /tmp/busy ] || {{ {BUSY} }}\nfor round in $(seq {number}); do {ROUND} done"
    result = machine.run(script, deadline=DEADLINE)
    if result.status != 0:
        raise SystemExit(
            f"a round ended with status {result.status}: {result.text}\n"
            f"{machine.kernel_log()[-2000:]}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--series", default="6.1", help="of the kernels that are here")
    chosen = parser.parse_args()
    found = [known for known in fetched() if known.release.startswith(f"{chosen.series}.")]
    if not found:
        raise SystemExit(f"no kernel of {chosen.series} is here; 'suture kernel fetch' gets one")
    print(json.dumps(rounds(fetch(found[0].release), chosen.rounds), indent=2))


if __name__ == "__main__":
    main()
