# SPDX-License-Identifier: GPL-2.0-or-later
"""x86-64."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from suture.arch.architecture import Architecture
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


class X86_64(Architecture):
    """64-bit x86 (``CONFIG_X86_64``)."""

    name = "x86_64"
    source = "x86"
    machine = ElfMachine(62, "little")  # EM_X86_64
    module_base = 0xFFFFFFFFC0000000  # MODULES_VADDR (Documentation/arch/x86/x86_64/mm.rst)

    @cached_property
    def relocations(self) -> RelocationTypes:
        """The table of relocation types."""
        from suture.arch.x86_64.relocations import RELOCATIONS

        return RELOCATIONS

    @cached_property
    def decoding(self) -> Decoding:
        """The decoder of its instructions."""
        from suture.arch.x86_64 import decoding

        return decoding

    @cached_property
    def effects(self) -> Effects:
        """The effects of its code on memory and registers."""
        from suture.arch.x86_64 import effects

        return effects

    @cached_property
    def search(self) -> CodeSearch:
        """The search for references to an address in linked code."""
        from suture.arch.x86_64 import search

        return search

    @cached_property
    def entry(self) -> FunctionEntry:
        """The first bytes of its functions."""
        from suture.arch.x86_64.entry import ENTRY

        return ENTRY

    @cached_property
    def jump_labels(self) -> JumpLabels:
        """Its static branches."""
        from suture.arch.x86_64.jump_labels import JUMP_LABELS

        return JUMP_LABELS

    @cached_property
    def live_code(self) -> CodeRewriting:
        """What its kernels write into their own code."""
        from suture.arch.x86_64.live_code import LIVE_CODE

        return LIVE_CODE

    @cached_property
    def sections(self) -> ArchSections:
        """Its own special sections."""
        from suture.arch.x86_64.sections import SECTIONS

        return SECTIONS

    @cached_property
    def syscalls(self) -> SystemCalls:
        """Numbers and names of system calls."""
        from suture.arch.x86_64.syscalls import SYSCALLS

        return SYSCALLS

    @cached_property
    def build(self) -> KernelBuild:
        """The build of its kernels."""
        from suture.arch.x86_64.build import BUILD

        return BUILD

    @cached_property
    def image(self) -> BootImage:
        """Its bootable image."""
        from suture.arch.x86_64.image import IMAGE

        return IMAGE

    @cached_property
    def virtual_machine(self) -> VirtualMachine:
        """The machine in which the lab boots a kernel."""
        from suture.arch.x86_64.virtual_machine import VIRTUAL_MACHINE

        return VIRTUAL_MACHINE
