# SPDX-License-Identifier: GPL-2.0-or-later
"""Compared files -> the plan: which functions the live patch replaces and carries.

`suture.verify` decides, and requests the files of callers that have to be compiled first.  They are
compiled here, and it is called again with the results.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TypeVar

from suture.builder.differences import unchanged_file
from suture.elf.prototypes import Prototype
from suture.model import VMLINUX
from suture.objects.view import Unit
from suture.verify.callers import Bounds, plan_callers
from suture.verify.kept_callers import refuse_other_clones
from suture.verify.kernel import Kernel
from suture.verify.new_globals import refuse_second_definitions
from suture.verify.old_callers import (
    callers_of,
    changed_prototypes,
    functions_to_declare,
    refuse_old_callers,
)
from suture.verify.plan import (
    Answers,
    ComparedFile,
    PatchPlan,
    PlannedFile,
    SourceRequest,
    Surroundings,
)
from suture.verify.thread_mains import ThreadMain
from suture.verify.threads import may_sleep_or_loop, refuse_threads, refuse_unused
from suture.workspace.caller_candidates import mentioning
from suture.workspace.declarations import declared, may_change_prototypes
from suture.workspace.overlay import Changed
from suture.workspace.prepare import Workspace

T = TypeVar("T")


def plan_patch(
    files: Sequence[ComparedFile],
    changes: Sequence[Changed],
    kernel: Kernel,
    workspace: Workspace,
    bounds: Bounds,
    replace_threads: Collection[str],
) -> PatchPlan:
    """Plan which functions a live patch replaces and carries, for all changed files.

    :param changes: the source files as the patch leaves them.
    :param bounds: how far callers are followed.
    :param replace_threads: main functions of kernel threads that may be replaced.
    :raises Refusal: ``global-defined-twice``, ``strong-over-weak``,
        ``exported-prototype-changed``, ``kfunc-prototype-changed``, ``prototype-changed``,
        ``function-renamed``,
        ``function-not-traceable``, ``caller-uncertain``, ``callers-too-many``,
        ``thread-function-replaced``, ``thread-not-replaced``, and what a proof raises
    """
    around = Surroundings(kernel.shipped, kernel.importers, kernel.sites)
    compiled = _Answers(kernel, workspace)
    refuse_second_definitions(files, kernel.symvers.get)
    for file in files:
        refuse_other_clones(file)
    if may_change_prototypes(changes):
        _refuse_changed_prototypes(files, changes, around, kernel, workspace, compiled)
    plan = compiled.answering(lambda answers: plan_callers(files, around, answers, bounds))
    plans = [planned.plan for planned in plan.files]
    refuse_unused(plans, replace_threads)
    for planned in plan.files:
        objname = planned.file.objname
        refuse_threads(planned.plan, replace_threads, _thread_main(planned, kernel), objname)
    return plan


def _thread_main(planned: PlannedFile, kernel: Kernel) -> Callable[[Unit], ThreadMain | None]:
    """Return the look-up of a file's functions among the main functions of the target's threads."""

    def main_of(function: Unit) -> ThreadMain | None:
        """Return the main function of a thread that a function is in the target, if any."""
        view = planned.file.changes.original.view
        if planned.file.objname != VMLINUX and not may_sleep_or_loop(view, function):
            return None
        mains = kernel.threads(planned.file.objname).mains
        address = planned.file.addresses.among(function, mains)
        return None if address is None else mains[address]

    return main_of


class _Answers:
    """The files that planning requested, compiled."""

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


def _refuse_changed_prototypes(
    files: Sequence[ComparedFile],
    changes: Sequence[Changed],
    around: Surroundings,
    kernel: Kernel,
    workspace: Workspace,
    compiled: _Answers,
) -> None:
    def patched(source: str, names: Collection[str]) -> dict[str, Prototype]:
        """Return the prototypes that a file declares with the patch."""
        return declared(workspace, source, names, changes)

    for file in files:
        names = functions_to_declare(file)
        if not names:
            continue
        old, new = declared(workspace, file.source, names, ()), patched(file.source, names)
        exported, is_kfunc = kernel.symvers.__contains__, partial(_is_kfunc, kernel, file.objname)
        for changed in changed_prototypes(file, old, new, exported, is_kfunc):
            callers = compiled.answering(partial(callers_of, changed, files, around))
            refuse_old_callers(changed, callers, patched)


def _is_kfunc(kernel: Kernel, objname: str, name: str) -> bool:
    """Tell whether BPF programs call a function of an object."""
    return name in kernel.kfuncs(objname)
