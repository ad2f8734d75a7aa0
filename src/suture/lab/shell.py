# SPDX-License-Identifier: GPL-2.0-or-later
"""A shell in a booted target, for a person at a terminal or for commands from a pipe.

1. Boot the target with ports for the shell, the user's files in ``/lab`` and a shared directory at
   ``/share``.
2. Load the live patches, if that is wanted.
3. Start the shell in the guest (``session.sh``), and connect it: `suture.lab.terminal` or
   `suture.lab.streams`.
4. When it ends, look through the kernel log; the guest is gone with the block.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from suture.errors import FILE_UNREADABLE, LAB_PREPARE_FAILED, Refusal
from suture.host import progress
from suture.kernel.release import Target
from suture.lab import initramfs, module_tree, streams, terminal
from suture.lab.complaints import Complaint
from suture.lab.guest_patch import TRANSITION_DEADLINE, GuestPatch, ModuleNeeds
from suture.lab.machine import SHARE_MODULES, Machine
from suture.lab.marks import new_mark
from suture.lab.qemu import GuestDevices, PortKind, Share
from suture.lab.streams import Write
from suture.module.inspect import Inspection

FILES = "/lab"
SHARED = "/share"
HOME = "/root"

OWN = "/suture"
"""The directory of the session's own files in the guest."""

RESIZE_DEADLINE = 5.0

DEVICES = {
    "terminal": ("/dev/hvc0",),
    "streams": ("/dev/vport0p2", "/dev/vport0p3", "/dev/vport0p4"),
}
"""Of `PORTS`, in the guest."""

WAIT = "until [ -c {0} ] && (exec 3<>{0}) 2>/dev/null; do sleep 0.01; done"
"""The node is there before the port can be opened (drivers/char/virtio_console.c: add_port()).
What has come when a port is closed is discarded, so nothing may be sent before."""

DAEMON = "start-stop-daemon -S -b -x /bin/setsid -- sh"
"""What a shell starts with ``&`` ignores Ctrl-C, and so does all that it starts (signal(7))."""

PORTS = {
    "terminal": (PortKind.TERMINAL,),
    "streams": (PortKind.STREAM, PortKind.STREAM, PortKind.STREAM),
}

MOUNT = """modprobe -a 9p 9pnet_virtio 2>/dev/null # fails where they are built in
mkdir -p {at} && mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144{ro} share {at} || exit"""


@dataclass(frozen=True, slots=True)
class GuestPatchFile:
    """A live patch module for the guest.

    :ivar file: its name below `FILES`.
    """

    file: str
    data: bytes
    found: Inspection

    @property
    def needs(self) -> ModuleNeeds:
        """What it needs in the guest."""
        return ModuleNeeds.of(self.data, self.found.patch)


@dataclass(frozen=True, slots=True)
class ShellPlan:
    """What the guest has.

    :ivar files: name below `FILES` -> content.
    :ivar patches: live patch modules, which are copied in as well.
    :ivar load: load them before the shell begins.
    :ivar modules: of the target's modules, those that ``modprobe`` shall find.
    :ivar share: the directory at `SHARED`.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    patches: tuple[GuestPatchFile, ...] = ()
    load: bool = False
    modules: tuple[str, ...] = ()
    share: Share | None = None


@dataclass(frozen=True, slots=True)
class CommandStreams:
    """Where a shell that has no terminal reads and writes.

    :ivar commands: a descriptor.
    """

    commands: int
    output: Write
    errors: Write


@dataclass(frozen=True, slots=True)
class ShellResult:
    """What came of a shell.

    :ivar status: its exit status; 0 where the guest was powered off.
    :ivar boot: seconds until the shell was started.
    """

    release: str
    accelerator: str
    status: int
    boot: float
    complaints: tuple[Complaint, ...]


def shell(target: Target, plan: ShellPlan, wiring: CommandStreams | None = None) -> ShellResult:
    """Boot `target` and run a shell in it.

    :param wiring: what it reads and writes; without, it is the terminal on stdin and stdout.
    :raises Refusal: ``lab-boot-failed``, ``lab-driver-missing``, ``lab-guest-died``,
        ``lab-prepare-failed``, ``lab-load-failed``, ``lab-transition-stalled``,
        ``module-not-found``, ``tool-missing``
    :raises KeyboardInterrupt: the user leaves with Ctrl-], or the terminal is gone
    """
    started = time.monotonic()
    mode = "terminal" if wiring is None else "streams"
    devices = GuestDevices(PORTS[mode], plan.share)
    with Machine.boot(
        target, modules=_modules(plan), files=_guest_files(plan), devices=devices
    ) as machine:
        if plan.load:
            _load(machine, plan.patches)
        mark = new_mark()
        _begin(machine, plan, mode, mark)
        boot = time.monotonic() - started
        if wiring is None:
            _greet(plan)
            status = terminal.connect(machine.ports[0], mark, lambda *size: _resize(machine, *size))
        else:
            writes = (wiring.output, wiring.errors)
            status = streams.connect(machine.ports, mark, wiring.commands, writes)
        if status is None and (refusal := machine.end_of_guest()) is not None:
            raise refusal
        return ShellResult(
            target.release, machine.accelerator.value, status or 0, boot, machine.complaints()
        )


def can_share(target: Target) -> bool:
    """Tell whether the target has the drivers for a shared directory."""
    return not module_tree.missing(target, SHARE_MODULES)


def shared(directory: Path, *, writable: bool) -> Share:
    """Return a share of a directory of this host.

    :raises Refusal: ``file-unreadable``
    """
    if not directory.is_dir():
        raise Refusal(FILE_UNREADABLE, str(directory), "it is not a directory")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise Refusal(FILE_UNREADABLE, str(directory), "its files cannot be listed")
    return Share(directory.resolve(), writable)


def _modules(plan: ShellPlan) -> list[str]:
    needed = [name for one in plan.patches for name in one.needs.modules]
    return list(dict.fromkeys([*plan.modules, *needed]))


def _guest_files(plan: ShellPlan) -> dict[str, bytes]:
    files = {f"{FILES}/{name}": content for name, content in plan.files.items()}
    files |= {f"{FILES}/{one.file}": one.data for one in plan.patches}
    return files | {
        f"{OWN}/{name}": initramfs.script(name) for name in ("session.sh", "profile.sh")
    }


def _greet(plan: ShellPlan) -> None:
    if plan.share is not None:
        right = "" if plan.share.writable else ", read-only"
        progress.note(f"{SHARED} is {plan.share.directory}{right}")
    names = [*plan.files, *(one.file for one in plan.patches)]
    if names:
        progress.note(f"{FILES} has {', '.join(names)}")
    progress.note("exit ends the shell, Ctrl-] three times a guest that hangs")


def _first_directory(plan: ShellPlan) -> str:
    if plan.share is not None:
        return SHARED
    return FILES if plan.files or plan.patches else HOME


def _load(machine: Machine, patches: Sequence[GuestPatchFile]) -> None:
    """Load live patches, one on the other."""
    for one in patches:
        needs = one.needs
        log_from = machine.lines_logged()
        guest = GuestPatch(
            machine, needs.name, f"{FILES}/{one.file}", log_from, TRANSITION_DEADLINE
        )
        with progress.step("Loading the live patch", needs.name):
            guest.prepare(needs.modules)
            guest.load()
            guest.wait_until_in_force()


def _begin(machine: Machine, plan: ShellPlan, mode: str, mark: str) -> None:
    """Start the session in the guest, in one request: one takes a tenth of a second."""
    rows, columns = terminal.size_of(0) if mode == "terminal" else (24, 80)
    settings = {
        "mode": mode,
        "mark": mark,
        "directory": _first_directory(plan),
        "rows": str(rows),
        "columns": str(columns),
        "TERM": os.environ.get("TERM", "vt100"),
    }
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    lines = [WAIT.format(device) for device in DEVICES[mode]]
    lines.append(f"{words} {DAEMON} {OWN}/session.sh")
    if plan.share is not None:
        lines.insert(0, MOUNT.format(at=SHARED, ro="" if plan.share.writable else ",ro"))
    begun = machine.run("\n".join(lines))
    if begun.status != 0 and plan.share is not None:
        raise Refusal(
            LAB_PREPARE_FAILED,
            str(plan.share.directory),
            f"the guest cannot mount it (status {begun.status})",
            why="The guest reads the shared directory through its kernel's 9P file system.",
            remedy="Name the files that the guest needs, which are copied in.",
            evidence=begun.text.splitlines(),
        )


def _resize(machine: Machine, rows: int, columns: int) -> None:
    with suppress(Refusal):  # of a guest that hangs, which the user may want to look at
        machine.run(f"stty -F /dev/hvc0 rows {rows} cols {columns}", deadline=RESIZE_DEADLINE)
