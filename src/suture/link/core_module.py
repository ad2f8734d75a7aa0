# SPDX-License-Identifier: GPL-2.0-or-later
"""The protocol for making modules for a core, and what goes into a module.

`suture.core.patches` describes the other half of a core, and lists the steps to add one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from suture.elf.object import ObjectFile
from suture.kernel.release import Target
from suture.link.author_modules import Author
from suture.link.callbacks import Hooked
from suture.link.glue import Variable
from suture.model import LivePatch
from suture.verify.kernel import Kernel
from suture.workspace.prepare import Workspace


@dataclass(frozen=True, slots=True)
class ModuleParts:
    """Everything that goes into the module of one live patch.

    :ivar patch: what replaces what; new functions by their global names.
    :ivar objects: the objects to link, by file name without extension.
    :ivar calls: the patch's callbacks.
    :ivar variables: variables that change in memory while the live patch is in force.
    :ivar authors: the init and exit functions of authors' modules.
    :ivar wrappers: functions that the glue defines: name -> C.
    :ivar states: the global name of an author's table of states, or "".
    :ivar stays: why the live patch stays in memory; empty for one that can be unloaded.
    """

    patch: LivePatch
    objects: Mapping[str, ObjectFile]
    calls: Sequence[Hooked] = ()
    variables: Sequence[Variable] = ()
    authors: Sequence[Author] = ()
    wrappers: Mapping[str, str] | None = None
    states: str = ""
    stays: tuple[str, ...] = ()


class CoreModule(Protocol):
    """Makes modules for one core."""

    def refuse_unsupported(self, target: Target) -> None:
        """Refuse a kernel without this core.

        :raises Refusal: ``no-livepatch`` or the core's own
        """

    def make(self, parts: ModuleParts, kernel: Kernel, workspace: Workspace) -> ObjectFile:
        """Link the parts into a module that can be loaded.

        :raises Refusal: ``module-link-failed``, ``unwind-data-doubtful``
        """
