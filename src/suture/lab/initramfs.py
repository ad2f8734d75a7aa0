# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's initramfs: busybox, the agent, kernel modules and the caller's files, in one
uncompressed newc archive.

The format is in the target's own ``Documentation/driver-api/early-userspace/buffer-format.rst``: a
header of thirteen 8-digit hexadecimal fields, the name, the content, each padded to four bytes.  It
is not compressed: QEMU passes it in memory, and unpacking costs an emulated processor more than
copying.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from pathlib import Path, PurePosixPath

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from suture.errors import TOOL_MISSING, Refusal
from suture.host import distributions, files
from suture.host.packages import TOOLS

BUSYBOX = Path("/bin/busybox")
"""Where a distribution that has merged ``/bin`` into ``/usr`` and one that has not both have it."""

DIRECTORIES = ("bin", "dev", "modules", "proc", "root", "run", "sys", "tmp")


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """One file of the archive.

    :ivar mode: as ``st_mode``.
    :ivar device: (major, minor) of a device node.
    """

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def build(
    additions: Mapping[str, bytes], *, init: str = "agent.sh", busybox: Path = BUSYBOX
) -> bytes:
    """Return the archive: busybox, init, and the added files.

    :param additions: absolute path in the guest -> content; all have mode 0755.
    :param init: the script beside this module that the guest runs first.
    :raises Refusal: ``tool-missing`` (no busybox, or one that needs libraries), ``file-unreadable``
    """
    entries = [
        *(ArchiveMember(name, stat.S_IFDIR | 0o755) for name in DIRECTORIES),
        # The kernel opens it for init before init has mounted anything (init/main.c:
        # console_on_rootfs()).
        ArchiveMember("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
        ArchiveMember("bin/busybox", stat.S_IFREG | 0o755, static_busybox(busybox)),
        ArchiveMember("bin/sh", stat.S_IFLNK | 0o777, b"busybox"),
        ArchiveMember("init", stat.S_IFREG | 0o755, script(init)),
        *_with_parents(additions, set(DIRECTORIES)),
    ]
    return archive(entries)


def script(name: str) -> bytes:
    """Return a file for the guest that is beside this module, such as ``agent.sh``."""
    return resources.files("suture.lab").joinpath(name).read_bytes()


def static_busybox(path: Path) -> bytes:
    """Return the program at `path`, which must run without libraries and interpreter.

    :raises Refusal: ``tool-missing``
    """
    if not path.exists():
        raise Refusal(
            TOOL_MISSING,
            str(path),
            "is not installed",
            remedy=_busybox_remedy(),
        )
    data = files.read_bytes(path)
    if not _is_static(data):
        raise Refusal(
            TOOL_MISSING,
            str(path),
            "is not a statically linked program",
            why="The lab's guest has no libraries for it.",
            remedy=_busybox_remedy(),
        )
    return data


def busybox_package() -> str:
    """Return the package of this host's distribution with a static busybox, or ""."""
    tool = next(tool for tool in TOOLS if tool.program == BUSYBOX.name)
    return distributions.here().package(tool)


def _busybox_remedy() -> str:
    package = busybox_package()
    return (
        f"Install the package {package}."
        if package
        else f"Install a statically linked busybox as {BUSYBOX}."
    )


def _is_static(program: bytes) -> bool:
    try:
        return not any(
            segment["p_type"] == "PT_INTERP"
            for segment in ELFFile(BytesIO(program)).iter_segments()
        )
    except ELFError:
        return False


def _with_parents(additions: Mapping[str, bytes], present: set[str]) -> Iterable[ArchiveMember]:
    """Yield the added files, each after its directories, which the kernel does not make by itself
    (init/initramfs.c)."""
    for path, data in additions.items():
        name = PurePosixPath(path.lstrip("/"))
        for parent in reversed(name.parents[:-1]):
            if str(parent) not in present:
                present.add(str(parent))
                yield ArchiveMember(str(parent), stat.S_IFDIR | 0o755)
        yield ArchiveMember(str(name), stat.S_IFREG | 0o755, data)


def archive(entries: Iterable[ArchiveMember]) -> bytes:
    """Return `entries` in the newc format, with the trailer."""
    out = BytesIO()
    for number, entry in enumerate([*entries, ArchiveMember("TRAILER!!!", 0)], start=1):
        name = entry.name.encode() + b"\0"
        header = (
            number,  # ino
            entry.mode,
            0,  # uid
            0,  # gid
            2 if stat.S_ISDIR(entry.mode) else 1,  # nlink
            0,  # mtime
            len(entry.data),  # filesize
            0,  # major
            0,  # minor
            *entry.device,  # rmajor, rminor
            len(name),  # namesize
            0,  # chksum, unused in this format
        )
        out.write(b"070701" + b"".join(b"%08x" % field for field in header))
        out.write(name)
        _pad(out)
        out.write(entry.data)
        _pad(out)
    return out.getvalue()


def _pad(out: BytesIO) -> None:
    out.write(bytes(-out.tell() % 4))
