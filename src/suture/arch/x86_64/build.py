# SPDX-License-Identifier: GPL-2.0-or-later
"""The build of x86 kernels."""

from __future__ import annotations

from suture.arch.build import KernelBuild, Program

PROGRAMS = (
    # arch/x86/entry/vdso/Makefile: vobjs-y; what maps it, vma.c, is in obj-y
    Program(
        "the vDSO",
        ("arch/x86/entry/vdso/", "lib/vdso/"),
        "The kernel maps the vDSO into every process, and its code runs there as code of user "
        "space does.",
    ),
    # arch/x86/boot/Makefile: setup-y; arch/x86/boot/compressed/Makefile: vmlinux-objs-y
    Program(
        "the boot code",
        ("arch/x86/boot/",),
        "It ran before the kernel: it prepared the machine and unpacked the kernel, and is gone.",
    ),
    # arch/x86/realmode/rm/Makefile: realmode-y; arch/x86/realmode/init.c copies it below 1 MB
    Program(
        "the real-mode code",
        ("arch/x86/realmode/rm/",),
        "A processor runs it when it starts or wakes up, in modes of 16 and 32 bits, in which no "
        "kernel function can be called.",
    ),
    # arch/x86/purgatory/Makefile: purgatory-y
    Program(
        "the purgatory",
        ("arch/x86/purgatory/",),
        "kexec runs it between two kernels, after the first has ended.",
    ),
)

BUILD = KernelBuild(
    # Code in sections is the same to the byte as with the target's own flags.
    flags="-ffunction-sections -fdata-sections -g0",
    programs=PROGRAMS,
    # The core's table of new functions.  ftrace goes to them by a return, which needs no ENDBR at
    # its target (arch/x86/kernel/ftrace_64.S: ftrace_regs_caller).
    harmless=(r"livepatch_functions_\d+\+0x[0-9a-f]+: data relocation to !ENDBR: .*",),
    options=("UNWINDER_ORC", "X86_KERNEL_IBT", "PREFIX_SYMBOLS"),
)
