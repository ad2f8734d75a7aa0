# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings, judged: refused, accepted by the author, or shown.

An author accepts a finding with ``--accept CODE:NAME --because REASON``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from suture.errors import ACCEPTED_NOT_FOUND, Acceptance, Finding, Refusal
from suture.host.progress import note
from suture.model import RecordedFinding
from suture.state.lost_functions import lost_functions
from suture.state.places import Places
from suture.state.questions import questions
from suture.state.reach import Reach
from suture.state.renamed import renamed_state
from suture.state.set_up import unset_state
from suture.state.threads import tasks_inside
from suture.verify.kernel import Kernel
from suture.verify.plan import PatchPlan
from suture.workspace.applying import Changed


def state_findings(
    plan: PatchPlan,
    changes: Sequence[Changed],
    reach: Reach,
    kernel: Kernel,
) -> Iterator[Finding]:
    """Look for what the planned code would meet in a running kernel.

    :param changes: the source files that the patch changes.
    :param reach: what reaches the units of these files.
    """
    places = Places(changes)
    of_files = [planned.plan.changes for planned in plan.files]
    for planned in plan.files:
        of_file = planned.plan.changes
        yield from renamed_state(of_file, [other for other in of_files if other is not of_file])
        yield from tasks_inside(planned, kernel, places)
    yield from unset_state(reach, places)
    yield from lost_functions(reach, places)
    yield from questions(changes)


def recorded(finding: Finding) -> RecordedFinding:
    """Return the form in which a module records a finding."""
    found = f"{finding.where}: {finding.found}"
    code, level = finding.kind.code, finding.level.value
    return RecordedFinding(level, code, finding.name, found, finding.because)


def judged(findings: Iterable[Finding], accepted: Sequence[Acceptance]) -> tuple[Finding, ...]:
    """Return findings with the author's reasons where there are any; show those that stop nothing.

    :raises Refusal: the code of the first finding that is refused; the others are in its evidence
    """
    reasons = {one.subject: one.because for one in accepted}
    result = []
    for finding in dict.fromkeys(findings):
        because = reasons.get(finding.subject, "")
        result.append(finding.accepted(because) if because else finding)
    refused = [finding for finding in result if finding.is_refused]
    if refused:
        raise _with_others(refused)
    for finding in result:
        note(str(finding))
    return tuple(result)


def refuse_unused(findings: Iterable[Finding], accepted: Sequence[Acceptance]) -> None:
    """Refuse a decision of the author about something that was not found.

    :raises Refusal: ``accepted-not-found``
    """
    subjects = {finding.subject for finding in findings}
    for one in accepted:
        if one.subject not in subjects:
            found = "the build finds nothing of this code and name"
            evidence = [f"it finds {subject}" for subject in sorted(subjects)]
            raise Refusal(ACCEPTED_NOT_FOUND, f"--accept {one.subject}", found, evidence=evidence)


def _with_others(refused: Sequence[Finding]) -> Refusal:
    first, *others = refused
    refusal = first.refusal()
    if others:
        also = [f"also {other}" for other in others]
        refusal.evidence = (*refusal.evidence, *also)
    return refusal
