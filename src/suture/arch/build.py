# SPDX-License-Identifier: GPL-2.0-or-later
"""How kernels are built: options of the compiler and of the kernel, objtool, and what is compiled
that is none of the kernel's code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """A program that a kernel image carries along.

    :ivar directories: where its sources are; other objects of the same directory may be the
        kernel's own.
    :ivar why: it is out of reach.
    """

    name: str
    directories: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class KernelBuild:
    """:ivar flags: put each function, and each datum where that leaves the code as it is, into a
        section of its own.  On powerpc and s390 ``-fdata-sections`` makes other code.
    :ivar programs: those that the image carries along, beside the ones of every architecture.
    :ivar harmless: patterns of what objtool says about a live patch module that is no matter.
    :ivar options: those of the configuration, without ``CONFIG_``, that decide how a live patch is
        built and loaded, beside the ones of every architecture.
    """

    flags: str = "-ffunction-sections -g0"
    programs: tuple[Program, ...] = ()
    harmless: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
