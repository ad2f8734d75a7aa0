# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU process, which leaves no files behind and ends with this process.

- No files: the initramfs, the console's output and QEMU's own messages are in memory
  (memfd_create(2)), and the wire to the agent is a socket pair.  A killed run leaves nothing to
  remove.
- The kernel ends QEMU when the thread that started it ends (PR_SET_PDEATHSIG, prctl(2)), also after
  SIGKILL; every other end goes through `Qemu.kill`.  QEMU has its own session, so that Ctrl-C
  reaches only this process.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from suture.arch.virtual_machine import VirtualMachine
from suture.errors import TOOL_MISSING, Refusal
from suture.host import files

PROCESSORS = 2
"""A transition on one processor never sees a task that runs elsewhere; and two cost no boot
time."""


class Accelerator(StrEnum):
    """The accelerators by QEMU's names (``-accel``)."""

    KVM = "kvm"
    TCG = "tcg"


class Wire(StrEnum):
    """The device for the channel to the agent, by its name in the guest's ``/dev``."""

    VIRTIO = "vport0p1"  # a hundred times faster than a serial port, and a module in 6.1
    SERIAL = "serial"  # the port of `VirtualMachine.serial`: nothing has to be loaded for it


ACCEL = {Accelerator.KVM: "kvm", Accelerator.TCG: "tcg,thread=single"}
"""Emulated, the processors take turns in one thread.  In a thread each, one can still run an int3
that the other has just replaced (arch/x86/kernel/alternative.c: text_poke_bp_batch()), and the
kernel panics.  Since 6.3 each transition patches every cond_resched()
(kernel/livepatch/transition.c: klp_cond_resched_enable()): a 6.12 guest died after 20."""


def _wire_options(wire: Wire, platform: VirtualMachine) -> tuple[str, ...]:
    if wire is Wire.SERIAL:
        return "-serial", "chardev:agent"
    return "-device", f"virtio-serial-{platform.bus}", "-device", "virtserialport,chardev=agent"


def _port_options(kinds: Sequence[PortKind], ends: Sequence[socket.socket]) -> Iterator[str]:
    for number, (kind, end) in enumerate(zip(kinds, ends, strict=True)):
        yield from ("-chardev", f"socket,id=port{number},fd={end.fileno()}")
        yield from ("-device", f"{kind.value},chardev=port{number}")


@dataclass(frozen=True, slots=True)
class Disk:
    """A raw image as a virtio disk.

    :ivar writable: the image keeps what the guest writes.
    """

    image: Path
    writable: bool = False

    @property
    def option(self) -> str:
        """The value of ``-drive``."""
        # The host's page cache outlives QEMU, so what the guest has flushed is there for the next
        # boot in any case.
        options = f"format=raw,if=virtio,cache=unsafe,read-only={'off' if self.writable else 'on'}"
        return f"file={_escaped(self.image)},{options}"


class PortKind(StrEnum):
    """What else the guest may have beside the wire, by QEMU's name of the device."""

    TERMINAL = "virtconsole"  # /dev/hvc0
    STREAM = "virtserialport"  # /dev/vport0p2 and on: the wire is the first


@dataclass(frozen=True, slots=True)
class Share:
    """A directory of this host, as a 9P file system.

    :ivar writable: the guest may write to it, with the rights of this process.
    """

    directory: Path
    writable: bool = False

    def options(self, platform: VirtualMachine) -> list[str]:
        """Return QEMU's options; the mount tag is ``share``."""
        # Without rights, QEMU cannot give a file away (security_model=passthrough), and owners in
        # attributes (mapped-xattr) would be seen by nobody else.
        kind = f"local,id=share,security_model=none,readonly={'off' if self.writable else 'on'}"
        return [
            *("-fsdev", f"{kind},multidevs=remap,path={_escaped(self.directory)}"),
            *("-device", f"virtio-9p-{platform.bus},fsdev=share,mount_tag=share"),
        ]


@dataclass(frozen=True, slots=True)
class GuestDevices:
    """What a guest has beside the wire and disks; all of it needs virtio drivers.

    :ivar ports: `Qemu.ports` are this process's ends of them.
    """

    ports: tuple[PortKind, ...] = ()
    share: Share | None = None


@dataclass(frozen=True, slots=True)
class Firmware:
    """UEFI firmware with Secure Boot, which starts a trusted program from a disk; QEMU then does
    not start the kernel itself.

    :ivar code: the firmware.
    :ivar variables: the file in which the firmware stores its settings, such as trusted keys.
    :ivar disk: the directory that the firmware sees as a FAT file system.  Its GRUB boots the
        target from there.
    :ivar orders: the file below `disk` in which that GRUB looks for its commands.
    """

    code: Path
    variables: Path
    disk: Path
    orders: Path

    def options(
        self, vmlinuz: Path, initramfs: bytes, cmdline: str, platform: VirtualMachine
    ) -> list[str]:
        """Return QEMU's options, and write the kernel and GRUB's commands to the disk."""
        files.write_atomic(self.disk / "vmlinuz", files.read_bytes(vmlinuz))
        files.write_atomic(self.disk / "initrd", initramfs)
        orders = f"linux /vmlinuz {cmdline}\ninitrd /initrd\nboot\n"
        files.write_atomic(self.disk / self.orders, orders.encode())
        drives = (
            ("if=pflash,unit=0,format=raw,readonly=on", self.code),
            ("if=pflash,unit=1,format=raw", self.variables),
            ("if=none,id=boot,format=raw,read-only=on", f"fat:{self.disk}"),
        )
        words = [*platform.secure_boot]
        for option, path in drives:
            words += ["-drive", f"{option},file={_escaped(path)}"]
        return [*words, "-device", f"virtio-blk-{platform.bus},drive=boot,bootindex=0"]


CMDLINE = (
    "ignore_loglevel",  # the console file is the kernel log, whatever a script sets
    "printk.devkmsg=on",  # no rate limit on /dev/kmsg: Machine.kernel_log() writes marks to it
    "panic=-1",  # a panic ends the virtual machine at once (with -no-reboot)
    "sysctl.kernel.hung_task_timeout_secs=30",
    # Mitigations and KASLR stay as they are in production: they decide what code the kernel runs
    # (return thunks, retpolines), and an address that was baked into a live patch must not happen
    # to be right.
)


class Qemu:
    """A running virtual machine.

    :ivar wire: this process's end of the channel to the agent.
    :ivar ports: this process's ends of the other ports.
    """

    def __init__(
        self,
        platform: VirtualMachine,
        accelerator: Accelerator,
        vmlinuz: Path,
        initramfs: bytes,
        wire: Wire,
        *,
        memory: int,
        cmdline: Sequence[str] = (),
        disks: Sequence[Disk] = (),
        firmware: Firmware | None = None,
        devices: GuestDevices | None = None,
    ) -> None:
        """Start the machine.

        :param platform: the virtual machine of the kernel's architecture.
        :param memory: of the guest, in MiB.
        :param disks: ``/dev/vda`` and on.
        :param firmware: starts the kernel instead of QEMU.
        :param devices: what else it has.
        :raises Refusal: ``tool-missing``, and with firmware ``file-unreadable``, ``disk-full``
        """
        self._console = os.memfd_create("console")
        self._messages = os.memfd_create("messages")
        devices = devices or GuestDevices()
        self.wire, guest_end = socket.socketpair()
        pairs = [socket.socketpair() for _ in devices.ports]
        self.ports = tuple(ours for ours, _ in pairs)
        guest_ends = [guest_end, *(theirs for _, theirs in pairs)]
        ramdisk = os.memfd_create("initramfs")
        try:
            with open(ramdisk, "wb", closefd=False) as file:
                file.write(initramfs)
            # The kernel hands a parameter that it does not know to init as an environment variable.
            device = platform.serial if wire is Wire.SERIAL else wire.value
            first = f"console={platform.console}"
            words = " ".join([first, *CMDLINE, f"wire={device}", *cmdline])
            starts = ["-kernel", str(vmlinuz), "-initrd", f"/dev/fd/{ramdisk}", "-append", words]
            if firmware is not None:
                starts = firmware.options(vmlinuz, initramfs, words, platform)
            cpu = "host" if accelerator is Accelerator.KVM else platform.emulated_cpu
            command = [
                *_only_while_we_live(),
                _program(platform.program),
                *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
                *platform.machine,
                *("-accel", ACCEL[accelerator], "-cpu", cpu),
                *("-smp", str(PROCESSORS), "-m", f"{memory}M"),
                *(
                    "-chardev",
                    f"file,id=console,path=/dev/fd/{self._console}",
                    "-serial",
                    "chardev:console",
                ),
                *("-chardev", f"socket,id=agent,fd={guest_end.fileno()}"),
                *_wire_options(wire, platform),
                *_port_options(devices.ports, guest_ends[1:]),
                *(devices.share.options(platform) if devices.share else ()),
                *(word for disk in disks for word in ("-drive", disk.option)),
                *starts,  # after the wire and the disks: the guest's names for them are by number
            ]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._messages,
                stderr=self._messages,
                pass_fds=(self._console, ramdisk, *(end.fileno() for end in guest_ends)),
                start_new_session=True,
            )
        except BaseException:
            self._close()
            raise
        finally:
            os.close(ramdisk)
            for end in guest_ends:
                end.close()

    @property
    def pid(self) -> int:
        """The process ID of QEMU."""
        return self._process.pid

    def console(self) -> str:
        """Return all that the guest has written to its first serial port."""
        return _whole(self._console).replace("\r", "")

    def messages(self) -> str:
        """Return the messages of QEMU itself, such as why it could not start."""
        return _whole(self._messages)

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`, and tell whether the machine has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the process.  `console` and `messages` can still be read."""
        self._process.kill()
        self._process.wait()
        self._close_sockets()

    def close(self) -> None:
        """End the process and drop its console and messages."""
        self.kill()
        self._close()

    def _close_sockets(self) -> None:
        for end in (self.wire, *self.ports):
            end.close()

    def _close(self) -> None:
        self._close_sockets()
        os.close(self._console)
        os.close(self._messages)


def _escaped(path: Path | str) -> str:
    """Return a value for an option of QEMU, with commas doubled."""
    return str(path).replace(",", ",,")


def version(program: str) -> str:
    """Return the first line of QEMU's ``--version``.

    :raises Refusal: ``tool-missing``
    """
    finished = subprocess.run(
        [_program(program), "--version"], capture_output=True, text=True, check=False
    )
    return finished.stdout.partition("\n")[0]


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Refusal(TOOL_MISSING, name, "is not installed or not on the PATH")
    return path


def _only_while_we_live() -> list[str]:
    """Return the words that go before a command to make it end with this process.

    The shell covers the time in which this process may die before prctl(2) is called: an orphan's
    parent is another process.
    """
    alive = '[ "$PPID" = "$0" ] && exec "$@"'
    return [
        _program("setpriv"),
        "--pdeathsig",
        "KILL",
        "--",
        "/bin/sh",
        "-c",
        alive,
        str(os.getpid()),
    ]


def _whole(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")
