# SPDX-License-Identifier: GPL-2.0-or-later
"""The base class of architectures, composed of small parts.

Each part has a file beside this one with its type, and a file of the same name in the folder of
each architecture.  Most are imported at their first use: a host that only loads live patches needs
neither a decoder nor a virtual machine.
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
    from suture.arch.live_code import CodeRewriting
    from suture.arch.relocations import RelocationTypes
    from suture.arch.search import CodeSearch
    from suture.arch.sections import ArchSections
    from suture.arch.syscalls import SystemCalls
    from suture.arch.virtual_machine import VirtualMachine


class Architecture:
    """The base class of architectures; a missing part raises NotImplementedError.

    :cvar name: the output of ``uname -m``.
    :cvar source: its directory below ``arch/`` in the kernel's source (``SRCARCH``).
    :cvar machine: the machine of its ELF files.
    :cvar module_base: a possible address of modules, in reach of the core kernel.
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
        """The decoder of its instructions."""
        raise self._lacks("decoding")

    @property
    def effects(self) -> Effects:
        """The effects of its code on memory and registers."""
        raise self._lacks("effects")

    @property
    def search(self) -> CodeSearch:
        """The search for references to an address in linked code."""
        raise self._lacks("search")

    @property
    def entry(self) -> FunctionEntry:
        """The first bytes of its functions."""
        raise self._lacks("entry")

    @property
    def jump_labels(self) -> JumpLabels:
        """Its static branches."""
        raise self._lacks("jump_labels")

    @property
    def live_code(self) -> CodeRewriting:
        """What its kernels write into their own code."""
        raise self._lacks("live_code")

    @property
    def sections(self) -> ArchSections:
        """Its own special sections; by default none."""
        from suture.arch.sections import ArchSections

        return ArchSections()

    @property
    def syscalls(self) -> SystemCalls:
        """Numbers and names of system calls."""
        raise self._lacks("syscalls")

    @property
    def build(self) -> KernelBuild:
        """The build of its kernels; by default nothing special."""
        from suture.arch.build import KernelBuild

        return KernelBuild()

    @property
    def image(self) -> BootImage | None:
        """Its bootable image; None if Suture cannot read it."""
        return None

    @property
    def virtual_machine(self) -> VirtualMachine | None:
        """The machine in which the lab boots a kernel; None if it cannot."""
        return None

    def _lacks(self, part: str) -> NotImplementedError:
        return NotImplementedError(f"{self.name} has no {part}")
