# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs between architectures: one folder for each, and nothing of it anywhere else.

To add another architecture:

1. Make a folder beside ``x86_64/``.  In its ``__init__.py``, derive a class from `Architecture`
   that says its name, its directory in the kernel's source, what its ELF files say and where its
   modules are, and has one property for each part that follows.  Register it at the end of this
   file.
2. ``relocations`` is the table of relocation types, ``decoding`` takes code apart.  With these two
   `suture diff` compares objects; ``tests/unit/arch/toy.py`` goes as far as that.
3. ``sections`` lists the special sections that its kernels have beside the common ones:
   alternatives, unwind tables.  Without it there are none.
4. ``build`` has the compiler's flags, the programs that its images carry along, and what its objtool
   says without need.  Without it, functions get sections of their own and data do not.
5. ``entry`` says how functions begin; ``search`` finds in linked code what leads to an address, and
   ``decoding.is_relaxation()`` knows what its linker rewrites.  With these a patch is proved
   against the shipped kernel.
6. ``effects`` says what code does with memory and arguments, ``jump_labels`` what static branches
   are made of, ``syscalls`` how system calls are entered and numbered.  `suture build` and `suture
   load` need them.
7. ``image`` takes the image apart that is booted.  Without it no kernel can be fetched.
8. ``virtual_machine`` is what QEMU boots it in, for `suture test`.  Without it there is no lab.
9. How distributions call it is said in `suture.sources`; the tests of its parts belong to
   ``tests/unit/arch/``.

Kernels are compiled on a host of their own architecture: nothing gives kbuild ``ARCH=`` or
``CROSS_COMPILE=`` yet.  What is the same for all, 64-bit ELF files first of all, is not asked of an
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
