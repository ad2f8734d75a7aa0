# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that a kernel image carries along, which run before the kernel, beside it or after it.

Each is compiled with options of its own, linked by itself and put into the image as data.  A live
patch redirects functions of the kernel, and none of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

from suture.errors import SEPARATE_PROGRAM, Refusal


@dataclass(frozen=True, slots=True)
class Program:
    """:ivar directories: where its sources are; other objects of the same directory may be the
    kernel's own.
    :ivar why: it is out of reach.
    """

    name: str
    directories: tuple[str, ...]
    why: str


PROGRAMS = (
    # arch/x86/entry/vdso/Makefile: vobjs-y; what maps it, vma.c, is in obj-y
    Program(
        "the vDSO",
        ("arch/x86/entry/vdso/", "lib/vdso/"),
        "The kernel maps the vDSO into every process, and its code runs there as code of user space does.",
    ),
    # arch/x86/boot/Makefile: setup-y; arch/x86/boot/compressed/Makefile: vmlinux-objs-y
    Program(
        "the boot code",
        ("arch/x86/boot/",),
        "It ran before the kernel did: it readied the machine and unpacked the kernel, and is no more.",
    ),
    # arch/x86/realmode/rm/Makefile: realmode-y; arch/x86/realmode/init.c copies it below 1 MB
    Program(
        "the real-mode code",
        ("arch/x86/realmode/rm/",),
        "A processor runs it when it is started or woken up, in modes of 16 and 32 bits, where no kernel function can "
        "be called.",
    ),
    # arch/x86/purgatory/Makefile: purgatory-y
    Program(
        "the purgatory",
        ("arch/x86/purgatory/",),
        "kexec runs it between two kernels, when the first has ended.",
    ),
    # drivers/firmware/efi/libstub/Makefile
    Program(
        "the EFI boot stub",
        ("drivers/firmware/efi/libstub/",),
        "It ran before the kernel did: the firmware started it, and it loaded the kernel.",
    ),
)


def program(path: str) -> Program | None:
    """The program that a source file is part of, if it is none of the kernel's own."""
    return next((one for one in PROGRAMS if path.startswith(one.directories)), None)


def refuse_separate(path: str) -> None:
    """:raises Refusal: ``separate-program``"""
    found = program(path)
    if found is not None:
        raise Refusal(SEPARATE_PROGRAM, path, f"is part of {found.name}", why=found.why)
