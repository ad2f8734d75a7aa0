# SPDX-License-Identifier: GPL-2.0-or-later
"""Architectures: everything that differs between them, in one folder each.

To add another architecture:

1. Make a folder beside ``x86_64/``.  In its ``__init__.py``, derive a class from `Architecture`
   with its name, its directory in the kernel's source, its ELF machine and the addresses of its
   modules, and with one property for each of the parts below.  Register it at the end of this file.
2. ``relocations`` is the table of relocation types, ``decoding`` decodes instructions.  With these
   two, `suture diff` compares objects; ``tests/unit/arch/toy.py`` has no more.
3. ``sections`` lists the special sections that its kernels have besides the common ones:
   alternatives, unwind tables.  Without it there are none.
4. ``build`` has the compiler's flags, the programs in its images, and its objtool's harmless
   warnings.  Without it, functions have sections of their own and data do not.
5. ``entry`` describes how functions begin; ``search`` finds the references to an address in linked
   code, and ``decoding.is_relaxation()`` knows what its linker rewrites.  With these, Suture proves
   a patch against the shipped kernel.
6. ``effects`` describes what code does with memory and arguments, ``jump_labels`` how static
   branches are made, ``syscalls`` the entries and numbers of system calls.  `suture build` and
   `suture load` need them.
7. ``image`` finds the kernel in a bootable image.  Without it no kernel can be fetched.
8. ``live_code`` describes what its kernels write into their own code.  Without it `suture verify`
   does not compare memory.
9. ``virtual_machine`` is QEMU's machine for `suture test`.  Without it there is no lab.
10. Distributions' names for it belong in `suture.sources`, the tests of its parts in
   ``tests/unit/arch/``.

Kernels are compiled on a host of their own architecture: nothing sets kbuild's ``ARCH=`` or
``CROSS_COMPILE=`` yet.  What is the same for all, such as 64-bit ELF files, is not part of an
architecture.
"""

from __future__ import annotations

from suture.arch.architecture import Architecture as Architecture
from suture.arch.machine import IDENTIFIED as IDENTIFIED
from suture.arch.machine import ElfMachine as ElfMachine
from suture.arch.machine import identify as identify
from suture.arch.x86_64 import X86_64

_KNOWN: dict[ElfMachine, Architecture] = {}


def register(architecture: Architecture) -> None:
    """Add an architecture, so that files of its machine can be read."""
    _KNOWN[architecture.machine] = architecture


def of(machine: ElfMachine) -> Architecture:
    """Return the architecture of a machine.

    :raises KeyError: Suture does not know it; readers of files refuse those first.
    """
    return _KNOWN[machine]


def of_elf(head: bytes) -> Architecture | None:
    """Return the architecture of an ELF file, by its first `IDENTIFIED` bytes; None if it is not a
    64-bit ELF file, or for a machine that Suture does not know."""
    machine = identify(head)
    return None if machine is None else _KNOWN.get(machine)


def known() -> tuple[Architecture, ...]:
    """Return the architectures that Suture knows."""
    return tuple(_KNOWN.values())


def named(name: str) -> Architecture | None:
    """Return the architecture of a name (``uname -m``), or None."""
    return next((known for known in _KNOWN.values() if known.name == name), None)


register(X86_64())
