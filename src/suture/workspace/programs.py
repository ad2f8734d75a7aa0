# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs in a kernel image that run before the kernel, beside it or after it.

Each is compiled with its own options, linked by itself and put into the image as data.  A live
patch redirects functions of the kernel, and none of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator

from suture import arch
from suture.arch.build import Program
from suture.errors import SEPARATE_PROGRAM, Refusal

EVERYWHERE = (
    # drivers/firmware/efi/libstub/Makefile
    Program(
        "the EFI boot stub",
        ("drivers/firmware/efi/libstub/",),
        "The firmware started it, and it loaded the kernel; it no longer runs.",
    ),
)


def programs() -> Iterator[Program]:
    """Yield the programs of all architectures, whose directories differ."""
    for one in arch.known():
        yield from one.build.programs
    yield from EVERYWHERE


def program(path: str) -> Program | None:
    """Return the program that a source file belongs to; None for the kernel itself."""
    return next((one for one in programs() if path.startswith(one.directories)), None)


def refuse_separate(path: str) -> None:
    """Refuse source files of programs that are not part of the running kernel.

    :raises Refusal: ``separate-program``
    """
    found = program(path)
    if found is not None:
        raise Refusal(SEPARATE_PROGRAM, path, f"is part of {found.name}", why=found.why)
