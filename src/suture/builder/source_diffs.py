# SPDX-License-Identifier: GPL-2.0-or-later
"""Source diffs, compiled before and after -> parts of a live patch.

1. `differences`: each pair of objects is compared.
2. `planning`: functions to replace and to carry are selected; files of callers are compiled.
3. `cutting`: every function to be replaced is proved to be the shipped one, and the planned code is
   cut out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from suture.builder.compiled_diffs import CompiledDiffs, compile_diffs
from suture.builder.cutting import cut_out_all
from suture.builder.differences import compare_pairs, nothing_left, omitted_parts
from suture.builder.findings import judged, refuse_unused, state_findings
from suture.builder.inputs import NO_CHOICES, Choices
from suture.builder.part import Cut
from suture.builder.planning import CompiledOnDemand, plan_patch
from suture.builder.prototypes import judge_prototypes
from suture.diff.data import DataRequest
from suture.diff.omitted import LeftOut
from suture.errors import Finding
from suture.formats.diff import PatchSource
from suture.host.progress import note, step
from suture.state.reach import Reach
from suture.verify.kernel import Kernel
from suture.verify.new_globals import refuse_second_definitions
from suture.verify.plan import CallerReplacement, PatchPlan
from suture.verify.threads import refuse_unused as refuse_unused_threads
from suture.workspace.prepare import Workspace


@dataclass(frozen=True, slots=True)
class DiffParts:
    """The parts that source diffs contribute to a live patch.

    :ivar cuts: an output object for each source file with code or data for the live patch.
    :ivar left_out: the parts of the diffs that the live patch leaves out.
    :ivar files_left_out: those of them that are whole files, which nothing is compiled from.
    :ivar callers: functions that are replaced because they call a changed one.
    :ivar findings: what was found about them, and accepted or shown.
    :ivar plan: what is replaced and carried, and why; None without source diffs.
    """

    cuts: tuple[Cut, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    files_left_out: tuple[LeftOut, ...] = ()
    callers: tuple[CallerReplacement, ...] = ()
    findings: tuple[Finding, ...] = ()
    plan: PatchPlan | None = None

    def after(self, cuts: Sequence[Cut], left_out: Sequence[LeftOut]) -> DiffParts:
        """Return the same parts behind those of other inputs."""
        return replace(self, cuts=(*cuts, *self.cuts), left_out=(*left_out, *self.left_out))


def parts_of_diffs(
    source: PatchSource,
    kernel: Kernel,
    workspace: Workspace,
    choices: Choices = NO_CHOICES,
    most_users: int | None = None,
) -> DiffParts:
    """Compile source diffs, prove that what they change fits, and cut it out; nothing is linked.

    :param most_users: as `compile_diffs`.
    :raises Refusal: as `compile_diffs` and `cut_source_diffs`
    """
    compiled = compile_diffs(source, workspace, kernel, choices.accepted, most_users)
    return cut_source_diffs(compiled, kernel, workspace, choices)


def cut_source_diffs(
    diffs: CompiledDiffs,
    kernel: Kernel,
    workspace: Workspace,
    choices: Choices,
    known: tuple[Finding, ...] = (),
) -> DiffParts:
    """Cut the changed code out of compiled source diffs.

    :param known: what was found about other inputs.
    :raises Refusal: what comparing, planning, proving and cutting out raise; ``no-code-change`` and
        others where nothing is left to replace
    """
    pairs, known = diffs.pairs, diffs.findings + known
    with step("Comparing", f"{len(pairs)} object{'s' if len(pairs) != 1 else ''}"):
        request = DataRequest(choices.patch_data, choices.keep_data)
        files = compare_pairs(pairs, kernel, request)
        refuse_second_definitions(files, kernel.symvers.get)
        changes, accepted = pairs[0].changes, choices.acceptances
        compiled = CompiledOnDemand(kernel, workspace)
        known += judge_prototypes(files, pairs, changes, kernel, workspace, compiled, accepted)
        plan = plan_patch(files, kernel, compiled, choices.bounds)
        for text in plan.notes:
            note(text)
        refuse_unused_threads((one.plan for one in plan.files), choices.replace_threads)
        reach = Reach({file.source: file.changes for file in files})
        findings = known + judged(state_findings(plan, changes, reach, kernel), accepted)
        refuse_unused(findings, choices.accepted)
        cuts = cut_out_all(plan, pairs, kernel, workspace)
        parts = omitted_parts(files, reach)
        if not any(cut.functions or cut.data or cut.output.calls for cut in cuts):
            raise nothing_left(parts, [pair.source for pair in pairs])
        left_out = tuple(part.for_user(source, objname) for source, objname, part in parts)
        for omitted in left_out:
            note(str(omitted))
    files_left_out = diffs.files_left_out
    return DiffParts(
        tuple(cuts), left_out + files_left_out, files_left_out, plan.callers, findings, plan
    )
