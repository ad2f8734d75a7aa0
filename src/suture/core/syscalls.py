# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that Python does not have: to put a module into the kernel, to take it out, and to
read a keyring.

A module is given as a sealed memory file: what was checked is what is loaded, whatever becomes of
the file it came from (``fcntl(2)``, "File Sealing").

What only looks at the kernel makes none of these calls, and does not wait for ctypes.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from suture.errors import OBJECT_UNSUPPORTED, Refusal

if TYPE_CHECKING:
    import ctypes

    from suture.arch.syscalls import SystemCalls

KEYCTL_READ = 11  # include/uapi/linux/keyctl.h
LARGEST_KEYRING = 4096

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed(module: bytes) -> int:
    """A descriptor of a memory file with this content, which nobody can change any more.  The
    caller closes it."""
    descriptor = os.memfd_create("livepatch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(module)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def finit_module(descriptor: int) -> None:
    """Load the module; returns when its init function has.  :raises OSError: as in
    ``finit_module(2)``"""
    _call(_numbers().finit_module, descriptor, b"", 0)


def delete_module(name: str) -> None:
    """Unload a module that nobody holds.  :raises OSError: as in ``delete_module(2)``;
    ``EWOULDBLOCK`` if it is held"""
    _call(_numbers().delete_module, name.encode(), os.O_NONBLOCK)


def keyring(serial: int) -> list[int]:
    """The serial numbers of what is in a keyring.  :raises OSError: as in ``keyctl_read(3)``"""
    import ctypes

    room = (ctypes.c_int32 * LARGEST_KEYRING)()
    size = _call(_numbers().keyctl, KEYCTL_READ, serial, room, ctypes.sizeof(room))
    return list(room[: size // ctypes.sizeof(ctypes.c_int32)])


def _numbers() -> SystemCalls:
    from suture import arch

    machine = os.uname().machine
    found = arch.named(machine)
    if found is None:
        names = " or ".join(known.name for known in arch.known())
        raise Refusal(
            OBJECT_UNSUPPORTED,
            "this host",
            f"is a machine of type {machine}",
            why="The numbers of system calls differ by architecture.",
            remedy=f"Run this command on a host with {names}.",
        )
    return found.syscalls


def _call(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_int32]) -> int:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    values = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = libc.syscall(ctypes.c_long(number), *values)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
