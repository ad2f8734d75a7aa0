# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs between architectures: one folder for each, and nothing of it anywhere else.

To add another architecture:

1. Make a folder beside ``x86_64/`` with a class that derives from `Architecture`: its name, its
   directory in the kernel's source, what its ELF files say.
2. Give it ``relocations``, the table of relocation types, and ``decoding``, how code is taken
   apart.  Object files can then be read, compared and cut (``suture diff``).
3. Give it ``entry``, ``effects``, ``search`` and ``jump_labels``, one file each.  Live patches can
   then be proved and linked.
4. Register it below.  `tests/unit/arch/toy.py` is a small one that goes as far as step 2.

What is the same for all of them, 64-bit ELF files first of all, is not asked of an architecture.
"""

from __future__ import annotations

from suture.arch.architecture import Architecture as Architecture
from suture.arch.machine import IDENTIFIED as IDENTIFIED
from suture.arch.machine import ElfMachine as ElfMachine
from suture.arch.machine import identify as identify
from suture.arch.x86_64 import X86_64

_KNOWN: dict[ElfMachine, Architecture] = {}


def register(architecture: Architecture) -> None:
    """Let files of its machine be read."""
    _KNOWN[architecture.machine] = architecture


def of(machine: ElfMachine) -> Architecture:
    """The architecture of what was read: an object file, a module, an image.

    :raises KeyError: it is none that Suture knows; what reads files refuses them before.
    """
    return _KNOWN[machine]


def of_elf(head: bytes) -> Architecture | None:
    """The architecture that an ELF file is for, by its first `IDENTIFIED` bytes; None where it is
    no 64-bit ELF file, or for none that Suture knows."""
    machine = identify(head)
    return None if machine is None else _KNOWN.get(machine)


def known() -> tuple[Architecture, ...]:
    """All that Suture knows."""
    return tuple(_KNOWN.values())


def named(name: str) -> Architecture | None:
    """By what ``uname -m`` says."""
    return next((one for one in _KNOWN.values() if one.name == name), None)


register(X86_64())
