# SPDX-License-Identifier: GPL-2.0-or-later
"""Compared files -> the plan: which functions the live patch replaces and carries.

`suture.verify` decides, and requests the files of callers that have to be compiled first.  They are
compiled here, and it is called again with the results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from suture.builder.differences import unchanged_file
from suture.verify.callers import Bounds, plan_callers
from suture.verify.kernel import Kernel
from suture.verify.plan import Answers, ComparedFile, PatchPlan, SourceRequest, Surroundings
from suture.workspace.caller_candidates import mentioning
from suture.workspace.prepare import Workspace

T = TypeVar("T")


def plan_patch(
    files: Sequence[ComparedFile],
    kernel: Kernel,
    compiled: CompiledOnDemand,
    bounds: Bounds,
) -> PatchPlan:
    """Plan which functions a live patch replaces and carries, for all changed files.

    :param bounds: how far callers are followed.
    :raises Refusal: ``function-not-traceable``, ``caller-uncertain``, ``callers-too-many``, and
        what a proof raises
    """
    around = surroundings(kernel)
    return compiled.answering(lambda answers: plan_callers(files, around, answers, bounds))


def surroundings(kernel: Kernel) -> Surroundings:
    """Return the look-ups that planning makes in a kernel."""
    return Surroundings(kernel.shipped, kernel.importers, kernel.sites)


class CompiledOnDemand:
    """The files that planning requests, compiled."""

    def __init__(self, kernel: Kernel, workspace: Workspace) -> None:
        self._kernel = kernel
        self._workspace = workspace
        self._answers: dict[SourceRequest, Sequence[ComparedFile]] = {}

    def answering(self, ask: Callable[[Answers], T | SourceRequest]) -> T:
        """Call `ask` with all answers so far until it requests no more files, and return its
        result."""
        while isinstance(result := ask(self._answers), SourceRequest):
            self._answers[result] = self._compile(result)
        return result

    def _compile(self, request: SourceRequest) -> list[ComparedFile]:
        pairs = mentioning(self._workspace, request.words, request.without)
        return [
            unchanged_file(pair, self._kernel) for pair in pairs if pair.objname == request.objname
        ]
