# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that a kernel image carries along, which run before the kernel, beside it or after it.

Each is compiled with options of its own, linked by itself and put into the image as data.  A live
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
    """Those of every architecture: the directories tell them apart."""
    for one in arch.known():
        yield from one.build.programs
    yield from EVERYWHERE


def program(path: str) -> Program | None:
    """The program that a source file is part of, if it is none of the kernel's own."""
    return next((one for one in programs() if path.startswith(one.directories)), None)


def refuse_separate(path: str) -> None:
    """Refuse source files of programs that are not part of the running kernel.

    :raises Refusal: ``separate-program``
    """
    found = program(path)
    if found is not None:
        raise Refusal(SEPARATE_PROGRAM, path, f"is part of {found.name}", why=found.why)
