# SPDX-License-Identifier: GPL-2.0-or-later
"""An architecture, composed of small parts.

Each part has a file beside this one that says what it is, and a file of the same name in the folder
of each architecture.  Most are imported when they are first asked for: a host that only loads live
patches needs neither a decoder nor a virtual machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from suture.arch.machine import ElfMachine

if TYPE_CHECKING:
    from suture.arch.build import KernelBuild
    from suture.arch.decoding import Decoding
    from suture.arch.effects import Effects
    from suture.arch.entry import FunctionEntry
    from suture.arch.image import BootImage
    from suture.arch.jump_labels import JumpLabels
    from suture.arch.relocations import RelocationTypes
    from suture.arch.search import CodeSearch
    from suture.arch.sections import ArchSections
    from suture.arch.syscalls import SystemCalls
    from suture.arch.virtual_machine import VirtualMachine


class Architecture:
    """What an architecture derives from.  A part that it does not have raises NotImplementedError
    when it is asked for.

    :cvar name: as ``uname -m`` has it.
    :cvar source: its directory below ``arch/`` in the kernel's source (``SRCARCH``).
    :cvar machine: what its ELF files say.
    :cvar module_base: an address at which modules may be, in reach of the core kernel.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    machine: ClassVar[ElfMachine]
    module_base: ClassVar[int]

    @property
    def relocations(self) -> RelocationTypes:
        """The table of relocation types."""
        raise self._lacks("relocations")

    @property
    def decoding(self) -> Decoding:
        """How code is taken apart."""
        raise self._lacks("decoding")

    @property
    def effects(self) -> Effects:
        """What code does with memory and registers."""
        raise self._lacks("effects")

    @property
    def search(self) -> CodeSearch:
        """How linked code is searched for what leads to an address."""
        raise self._lacks("search")

    @property
    def entry(self) -> FunctionEntry:
        """How functions begin."""
        raise self._lacks("entry")

    @property
    def jump_labels(self) -> JumpLabels:
        """What static branches are made of."""
        raise self._lacks("jump_labels")

    @property
    def sections(self) -> ArchSections:
        """Special sections of its own; none, where it does not say."""
        from suture.arch.sections import ArchSections

        return ArchSections()

    @property
    def syscalls(self) -> SystemCalls:
        """Numbers and names of system calls."""
        raise self._lacks("syscalls")

    @property
    def build(self) -> KernelBuild:
        """How its kernels are built; as little as can be, where it does not say."""
        from suture.arch.build import KernelBuild

        return KernelBuild()

    @property
    def image(self) -> BootImage | None:
        """What is booted; None where Suture cannot take it apart."""
        return None

    @property
    def virtual_machine(self) -> VirtualMachine | None:
        """What the lab boots a kernel in; None where it cannot."""
        return None

    def _lacks(self, part: str) -> NotImplementedError:
        return NotImplementedError(f"{self.name} has no {part}")
