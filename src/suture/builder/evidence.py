# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build worked with: the plan, the sources and the proofs, for a report on the module."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from suture.builder.part import Cut
from suture.verify.examination import ShippedObjects
from suture.verify.kernel import Kernel
from suture.verify.plan import PatchPlan
from suture.workspace.applying import Changed


@dataclass(frozen=True, slots=True)
class BuildEvidence:
    """The compiled objects of a build and the reasons for what it did.

    It holds all objects on both sides, so a build keeps it only on request.

    :ivar kernel: the target, as far as the build has read it.
    :ivar plan: what is replaced and carried, and why; None without source diffs.
    :ivar tree: the target's source; None where no source diff was compiled.
    :ivar objects: the objects that the module may be for; None for those of the target alone.
    :ivar changes: the source files that change the code, before and after.
    :ivar cuts: the output object of each source file, with the proofs.
    """

    kernel: Kernel
    plan: PatchPlan | None = None
    tree: Path | None = None
    objects: ShippedObjects | None = None
    changes: tuple[Changed, ...] = ()
    cuts: tuple[Cut, ...] = ()
