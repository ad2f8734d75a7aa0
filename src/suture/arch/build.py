# SPDX-License-Identifier: GPL-2.0-or-later
"""The build of kernels: options of the compiler and of the kernel, objtool's warnings, and compiled
programs that are not part of the kernel's code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """A program that a kernel image contains, such as the vDSO.

    :ivar directories: contain its sources, and possibly objects of the kernel itself.
    :ivar why: the reason why a live patch cannot change it.
    """

    name: str
    directories: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class KernelBuild:
    """The build of an architecture's kernels.

    :ivar flags: put each function, and each datum if that does not change the code, into a section
        of its own.  On powerpc and s390, ``-fdata-sections`` changes the code.
    :ivar programs: the programs in its images, besides those of every architecture.
    :ivar harmless: patterns of objtool's harmless warnings about a live patch module.
    :ivar options: the options of the configuration, without ``CONFIG_``, that decide how a live
        patch is built and loaded, besides those of every architecture.
    """

    flags: str = "-ffunction-sections -g0"
    programs: tuple[Program, ...] = ()
    harmless: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
