# SPDX-License-Identifier: GPL-2.0-or-later
"""The throwaway machine: boot the target's own image, put files in, run commands, read the kernel
log, power off.

>>> with Machine.boot(target, modules=["loop"]) as machine:  # doctest: +SKIP
...     machine.run("modprobe loop && cat /proc/version").text

Every step has a deadline in seconds.  A step that misses it, or a guest that dies, is refused with
the last lines of the kernel log.  After that the machine accepts no more requests, but its kernel
log can still be read.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType

from suture.arch.virtual_machine import VirtualMachine
from suture.errors import (
    LAB_BOOT_FAILED,
    LAB_DEADLINE,
    LAB_DRIVER_MISSING,
    LAB_GUEST_DIED,
    LAB_PUT_FAILED,
    Kind,
    Refusal,
)
from suture.host import progress
from suture.kernel.release import Target
from suture.lab import accel, initramfs, module_tree, qemu
from suture.lab.channel import MAX_PAYLOAD, Channel, ChannelClosed, Reply
from suture.lab.complaints import Complaint, find

MEMORY = 512
"""MiB.  The 6.12 image, unpacked beside itself while it boots, needs 200."""

BOOT_DEADLINE = 120.0
STEP_DEADLINE = 30.0
LOG_DEADLINE = 5.0

SHARE_MODULES = ("9p", "9pnet_virtio")

EVIDENCE_LINES = 20
POWERED_OFF = ("reboot: Power down", "reboot: System halted", "reboot: Restarting system")
"""kernel/reboot.c says so where somebody wants it; emergency_restart() after a panic does not."""

_MARK = "suture-lab-mark"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command in the guest: its exit status, and its output and errors in the order
    in which they were written."""

    status: int
    output: bytes

    @property
    def text(self) -> str:
        """The output as text."""
        return self.output.decode(errors="replace")


class Machine:
    """A booted guest.  Use it as a context manager: the guest ends with the block at the latest.

    :ivar accelerator: the accelerator that runs it.
    """

    def __init__(
        self,
        process: qemu.Qemu,
        accelerator: qemu.Accelerator,
        platform: VirtualMachine,
        release: str,
    ) -> None:
        self.accelerator = accelerator
        self._platform = platform
        self._release = release
        self._process = process
        self._channel = Channel(process.wire)
        self._usable = True
        self._marks = 0

    @classmethod
    def boot(
        cls,
        target: Target,
        *,
        modules: Sequence[str] = (),
        files: Mapping[str, bytes] | None = None,
        memory: int = MEMORY,
        cmdline_extra: str = "",
        deadline: float = BOOT_DEADLINE,
        accelerator: qemu.Accelerator | None = None,
        firmware: qemu.Firmware | None = None,
        devices: qemu.GuestDevices | None = None,
    ) -> Machine:
        """Boot `target` and wait until the guest accepts commands.

        :param modules: of the target's modules, those that ``modprobe`` in the guest shall find,
            with all they depend on.  They are not loaded.
        :param files: absolute path in the guest to content; all are executable.
        :param memory: in MiB.
        :param accelerator: the one that `suture.lab.accel.choose` finds, if left out.
        :param firmware: what starts the kernel, if QEMU itself does not.
        :param devices: what else the guest has.
        :raises Refusal: ``lab-boot-failed``, ``module-not-found``, ``tool-missing``,
            ``file-unreadable``, ``lab-driver-missing``
        """
        wired = wire_modules(platform_of(target))
        drivers = (*wired, *(SHARE_MODULES if devices and devices.share else ()))
        lacks = module_tree.missing(target, drivers)
        if lacks and devices is not None:
            raise Refusal(LAB_DRIVER_MISSING, target.release, f"it has no module {lacks[0]}")
        wire = qemu.Wire.SERIAL if lacks else qemu.Wire.VIRTIO
        needed = [*modules, *(() if lacks else drivers)]
        image = initramfs.build({**module_tree.build(target, needed), **(files or {})})
        return cls.start(
            target,
            image,
            wire,
            memory=memory,
            cmdline_extra=cmdline_extra,
            deadline=deadline,
            accelerator=accelerator,
            firmware=firmware,
            devices=devices,
        )

    @classmethod
    def start(
        cls,
        target: Target,
        image: bytes,
        wire: qemu.Wire,
        *,
        disks: Sequence[qemu.Disk] = (),
        memory: int = MEMORY,
        cmdline_extra: str = "",
        deadline: float = BOOT_DEADLINE,
        accelerator: qemu.Accelerator | None = None,
        firmware: qemu.Firmware | None = None,
        devices: qemu.GuestDevices | None = None,
    ) -> Machine:
        """Boot `target` with the initramfs `image`, which ends by starting the agent, and wait
        until the guest accepts commands.

        :raises Refusal: ``lab-boot-failed``, ``tool-missing``
        """
        platform = platform_of(target)
        chosen = accelerator or accel.choose(target.vmlinuz, platform)
        with progress.step("Booting", f"{target.release} ({chosen.value})"):
            process = qemu.Qemu(
                platform,
                chosen,
                target.vmlinuz,
                image,
                wire,
                memory=memory,
                cmdline=cmdline_extra.split(),
                disks=disks,
                firmware=firmware,
                devices=devices,
            )
            try:
                machine = cls(process, chosen, platform, target.release)
                with machine._guarded(
                    f"booting for {deadline:g} s", LAB_BOOT_FAILED, LAB_BOOT_FAILED
                ):
                    machine._channel.wait_ready(time.monotonic() + deadline)
            except BaseException:
                process.close()
                raise
        return machine

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.close()

    @property
    def ports(self) -> tuple[socket.socket, ...]:
        """This process's ends of the guest's additional ports (`qemu.GuestDevices.ports`)."""
        return self._process.ports

    @property
    def pid(self) -> int:
        """The process ID of QEMU."""
        return self._process.pid

    def run(self, command: str, *, deadline: float = STEP_DEADLINE) -> CommandResult:
        """Run `command`, a script for busybox's ``sh``, with nothing on its standard input.

        :raises Refusal: ``lab-deadline``, ``lab-guest-died``
        """
        reply = self._request("run", command.encode(), "-", f"running {command!r}", deadline)
        return CommandResult(reply.status, reply.output)

    def put(self, name: str, data: bytes, *, deadline: float = STEP_DEADLINE) -> None:
        """Write `data` to the absolute path `name` in the guest, executable.  Prefer `boot`'s
        `files` for much data.

        :raises Refusal: ``lab-put-failed``, ``lab-deadline``, ``lab-guest-died``
        """
        until = time.monotonic() + deadline
        pieces = [data[at : at + MAX_PAYLOAD] for at in range(0, len(data), MAX_PAYLOAD)] or [b""]
        for number, piece in enumerate(pieces):
            verb = "append" if number else "put"
            reply = self._request(verb, piece, name, f"writing {name}", until - time.monotonic())
            if reply.status != 0:
                raise Refusal(LAB_PUT_FAILED, name, f"the guest could not write {len(data)} bytes")

    def kernel_log(self) -> str:
        """Return all that the kernel has printed on the console since it booted; also of a dead
        guest."""
        if self._usable:
            with suppress(
                Refusal
            ):  # what a dead or hung guest has said is worth reading all the more
                self._wait_for_console()
        return "".join(
            f"{line}\n" for line in self._process.console().splitlines() if _MARK not in line
        )

    def lines_logged(self) -> int:
        """Return how many lines of `kernel_log` the console shows by now, without waiting for what
        another processor is printing."""
        console = self._process.console()
        return console.count("\n") - console.count(_MARK)

    def complaints(self) -> tuple[Complaint, ...]:
        """Return the kernel's complaints since it booted."""
        return find(self.kernel_log(), self._platform.complaints)

    def end_of_guest(self) -> Refusal | None:
        """Wait for the end of a guest whose ports are closed.

        :return: None if it has powered off or restarted, else why it ended.
        """
        self._usable = False
        ended = self._process.wait(STEP_DEADLINE)
        if ended and any(word in self._process.console() for word in POWERED_OFF):
            return None
        return self._refusal(LAB_GUEST_DIED, self._cause_of_death())

    def power_off(self, *, deadline: float = STEP_DEADLINE) -> None:
        """Shut the guest down.  The kernel log can still be read afterwards.

        :raises Refusal: ``lab-deadline`` (the guest is ended nevertheless)
        """
        try:
            with self._guarded("powering off", LAB_DEADLINE, LAB_GUEST_DIED):
                self._channel.send_only("off", time.monotonic() + deadline)
                if not self._process.wait(deadline):
                    raise TimeoutError
        finally:
            self._usable = False
            self._process.kill()

    def _request(
        self, verb: str, payload: bytes, argument: str, what: str, deadline: float
    ) -> Reply:
        with self._guarded(f"{what} for {deadline:.4g} s", LAB_DEADLINE, LAB_GUEST_DIED):
            return self._channel.request(verb, payload, argument, time.monotonic() + deadline)

    @contextmanager
    def _guarded(self, what: str, late: Kind, dead: Kind) -> Iterator[None]:
        """Turn errors of the channel into refusals, and accept no more requests after one."""
        if not self._usable:
            raise Refusal(
                LAB_GUEST_DIED, self._release, f"it ended in an earlier step, before {what}"
            )
        try:
            yield
        except TimeoutError:
            self._usable = False
            raise self._refusal(late, f"gave up {what}") from None
        except ChannelClosed:
            self._usable = False
            self._process.wait(LOG_DEADLINE)
            raise self._refusal(dead, self._cause_of_death()) from None
        except BaseException:
            self._usable = False  # the reply may be half read
            raise

    def _cause_of_death(self) -> str:
        panics = [
            line
            for line in self._process.console().splitlines()
            if "Kernel panic - not syncing" in line
        ]
        return panics[0].partition("] ")[2] if panics else "the virtual machine ended"

    def _refusal(self, kind: Kind, found: str) -> Refusal:
        """Return a refusal with the kernel's first complaint as evidence, else the last lines of
        console and QEMU."""
        reported = find(self._process.console())
        if reported:
            evidence = list(reported[0].lines[:EVIDENCE_LINES])
        else:
            unread = self._channel.received().decode(errors="replace").splitlines()
            said = [
                *self._process.messages().splitlines(),
                *self._process.console().splitlines(),
                *unread,
            ]
            evidence = [line for line in said if line][-EVIDENCE_LINES:]
        return Refusal(kind, self._release, found, evidence=evidence)

    def _wait_for_console(self) -> None:
        """Wait until the console shows all that the kernel has logged so far: another processor may
        still be printing."""
        self._marks += 1
        mark = f"{_MARK} {self._marks}."
        self.run(f"echo '{mark}' >/dev/kmsg", deadline=LOG_DEADLINE)
        until = time.monotonic() + LOG_DEADLINE
        while mark not in self._process.console() and time.monotonic() < until:
            time.sleep(0.01)


def platform_of(target: Target) -> VirtualMachine:
    """Return the virtual machine in which the target boots.

    :raises Refusal: ``lab-boot-failed``, ``image-malformed``, ``file-unreadable``
    """
    found = target.arch.virtual_machine
    if found is None:
        name = target.arch.name
        raise Refusal(LAB_BOOT_FAILED, target.release, f"there is no virtual machine for {name}")
    return found


def wire_modules(platform: VirtualMachine) -> tuple[str, ...]:
    """Return the drivers of the fastest wire."""
    return f"virtio_{platform.bus}", "virtio_console"
