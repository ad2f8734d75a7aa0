# SPDX-License-Identifier: GPL-2.0-or-later
"""Load what was built, one after the other in the same guest; one that kills it is held responsible
for that.

For each: load the modules that it patches, where the guest can; load it; wait for the transition;
see that it is enabled; take it out; look what the kernel has said meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import suture
from bench.corpus import pick
from bench.corpus.builds import module_name
from bench.corpus.record import Outcome, Record
from suture.errors import Refusal
from suture.kernel.release import Target
from suture.lab import module_tree
from suture.lab.complaints import Complaint
from suture.lab.guest_patch import STALLED, SYSFS, UNLOAD
from suture.lab.machine import Machine
from suture.model import VMLINUX

PER_GUEST = 24
MEMORY = 2048
"""MiB: all modules of a guest's patches are in its initramfs, with what they depend on."""

MODPROBE_SECONDS = 20
TRANSITION_SECONDS = 60.0


def try_all(target: Target, built: Sequence[Record], out: Path) -> Iterator[Record]:
    """What came of each of `built`."""
    waiting = list(built)
    while waiting:
        done = 0
        for record in _in_one_guest(target, waiting[:PER_GUEST], out):
            done += 1
            yield record
        waiting = waiting[done:]


def _in_one_guest(target: Target, records: Sequence[Record], out: Path) -> Iterator[Record]:
    """Ends early, after the one that was under trial, when the guest is not to be used any more."""
    modules = {name for record in records for name in record.objects if name != VMLINUX}
    wanted = sorted(modules.difference(module_tree.missing(target, modules)))
    with Machine.boot(target, modules=wanted, memory=MEMORY) as machine:
        for record in records:
            try:
                present = _load_patched(machine, record)
                before = len(
                    machine.complaints()
                )  # of the modules themselves, which is none of the patch's fault
                judged = _life(machine, replace(record, in_force=present), out)
            except Refusal as refusal:
                yield _wrong(record, refusal.code, str(refusal))
                return
            new = machine.complaints()[before:]
            yield _wrong(judged, "kernel-complaint", _text(new)) if new else judged
            if before or new or judged.outcome is Outcome.WRONG:
                return


def _life(machine: Machine, record: Record, out: Path) -> Record:
    name = module_name(record.file)
    sysfs = f"{SYSFS}/{name}"
    module = (out / f"{pick.name(record.file)}.ko").read_bytes()
    machine.put(f"/tmp/{name}.ko", module)
    if (loaded := machine.run(f"insmod /tmp/{name}.ko")).status != 0:
        return _wrong(record, "load-failed", f"{loaded.text}\n{_tail(machine)}")
    if not _wait(machine, f'[ "$(cat {sysfs}/transition)" = 0 ]'):
        return _wrong(record, "stalled", machine.run(f"behind=0\n{STALLED}").text)
    if machine.run(f"cat {sysfs}/enabled").text.strip() != "1":
        return _wrong(record, "not-enabled", _tail(machine))
    for objname in record.in_force:
        if machine.run(f"cat {sysfs}/{objname}/patched").text.strip() != "1":
            return _wrong(record, "not-patched", f"{objname}\n{_tail(machine)}")
    machine.run(f"echo 0 >{sysfs}/enabled")
    if not _wait(machine, f"[ ! -e {sysfs} ]"):
        return _wrong(record, "stalled", machine.run(f"behind=1\n{STALLED}").text)
    stays = suture.inspect(module).patch.stays
    if not stays and (removed := machine.run(UNLOAD.format(name=name))).status != 0:
        return _wrong(record, "unload-failed", removed.text)
    machine.run(f"rm /tmp/{name}.ko")
    return replace(record, outcome=Outcome.LOADED)


def _load_patched(machine: Machine, record: Record) -> tuple[str, ...]:
    """Load the modules that are to be patched; a module may want hardware that the guest has not.

    :return: the objects that are there.
    """
    present = []
    for name in record.objects:
        if name != VMLINUX:
            machine.run(
                f"timeout {MODPROBE_SECONDS} modprobe {name}", deadline=2 * MODPROBE_SECONDS
            )
        if name == VMLINUX or machine.run(f"[ -e /sys/module/{name} ]").status == 0:
            present.append(name)
    return tuple(present)


def _wait(machine: Machine, condition: str) -> bool:
    until = time.monotonic() + TRANSITION_SECONDS
    while time.monotonic() < until:
        if machine.run(condition).status == 0:
            return True
        time.sleep(0.1)
    return False


def _wrong(record: Record, code: str, message: str) -> Record:
    return replace(record, outcome=Outcome.WRONG, code=code, message=message)


def _text(complaints: Sequence[Complaint]) -> str:
    return "\n".join(line for complaint in complaints for line in complaint.lines)


def _tail(machine: Machine) -> str:
    return "\n".join(machine.kernel_log().splitlines()[-10:])
