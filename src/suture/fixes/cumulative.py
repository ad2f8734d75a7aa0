# SPDX-License-Identifier: GPL-2.0-or-later
"""One cumulative live patch of all groups of fixes that can be live.

1. The changed files become groups (`suture.fixes.groups`), and the chosen ones are tried, each by
   itself (`suture.fixes.trials`).
2. The diffs of the live groups are built together, as any source diff is: compared, searched for
   findings, and proved once more.  What is refused only then is left out with its group.
3. The module says which fixes it has, and which of those that may reach its kernel it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from suture.builder import build_gathered
from suture.builder.artifact import Artifact
from suture.builder.inputs import Choices, gathered
from suture.errors import NO_FIX_CAN_BE_LIVE, Refusal
from suture.fixes.chosen import ChosenFiles
from suture.fixes.coverage import Coverage, CoveredFix, covered
from suture.fixes.grouping import grouping
from suture.fixes.kept_changes import FileDiff
from suture.fixes.listing import FixList
from suture.fixes.trials import OF_THIS_HOST, GroupVerdict, try_groups
from suture.formats.recognise import Format
from suture.host.files import temporary_directory
from suture.host.progress import note
from suture.kernel.release import Target
from suture.model import Fix, Update, UpdateFix
from suture.verify.callers import DEFAULT_BOUNDS
from suture.workspace.prepare import prepare

_MOST_SHOWN = 8
"""Groups that a refusal names."""


@dataclass(frozen=True, slots=True)
class CumulativeBuild:
    """A cumulative live patch.

    :ivar verdicts: of the groups that were tried, sorted by name.
    :ivar fixes: how the live patch stands to each fix of the list.
    """

    artifact: Artifact
    verdicts: tuple[GroupVerdict, ...]
    fixes: tuple[CoveredFix, ...]


def build_fixes(
    target: Target,
    found: FixList,
    chosen: ChosenFiles,
    *,
    output: Path | None = None,
    directory: Path | None = None,
    name: str | None = None,
) -> CumulativeBuild:
    """Build one live patch of the groups with chosen files that can be live.

    :param output: the file to write; with `directory` instead, ``<name>.ko`` in it.
    :param name: the module's; by default after the version.
    :raises Refusal: ``no-fix-can-be-live``, and those of `try_groups` and `suture.builder.build`
    """
    if found.old == found.new:
        nothing = f"no newer source than {found.old} is on offer"
        raise Refusal(NO_FIX_CAN_BE_LIVE, found.release, nothing, why="There is nothing to build.")
    workspace = prepare(target)
    grouped = grouping(workspace, found)
    diffs = grouped.diffs
    tried = try_groups(workspace, chosen.groups(grouped.groups), diffs, grouped.declarations)
    verdicts = sorted(tried, key=lambda one: one.group.name)
    while True:
        live = [one for one in verdicts if one.is_live]
        if not live:
            raise _nothing_left(found, verdicts)
        fixes = covered(found, verdicts)
        try:
            artifact = _build(target, found, diffs, live, fixes, output, directory, name)
        except Refusal as refusal:
            if refusal.kind in OF_THIS_HOST:
                raise
            verdicts = _without(verdicts, refusal)
            note(f"left out, refused beside the others: {refusal.code}: {refusal.where}")
            continue
        return CumulativeBuild(artifact, tuple(verdicts), fixes)


def _build(
    target: Target,
    found: FixList,
    diffs: Mapping[str, FileDiff],
    live: Sequence[GroupVerdict],
    fixes: Sequence[CoveredFix],
    output: Path | None,
    directory: Path | None,
    name: str | None,
) -> Artifact:
    paths = sorted({path for one in live for path in one.group.whole})
    text = "".join(diffs[path].text for path in paths)
    with temporary_directory() as scratch:
        patch = scratch / f"{found.old}..{found.new}.patch"
        patch.write_text(text, errors="surrogateescape")
        with gathered(
            [patch],
            format=Format.DIFF,
            strip=1,
            name=name or _default_name(found),
            replace=True,
            choices=Choices(caller_limit=DEFAULT_BOUNDS.functions * len(live)),
        ) as inputs:
            return build_gathered(
                replace(inputs, fixes=_had(fixes), update=_update(found, fixes)),
                target,
                output=output,
                directory=directory,
            )


def _without(verdicts: Sequence[GroupVerdict], refusal: Refusal) -> list[GroupVerdict]:
    """Return the verdicts with the groups refused that a refusal of the whole is about, and those
    that need them.

    :raises Refusal: the same, if it is about no group
    """
    path = refusal.where.partition(":")[0]
    hit = [one for one in verdicts if one.is_live and path in one.group.whole]
    if not hit:
        raise refusal
    lost = {member for one in hit for member in one.group.paths}
    result = []
    for one in verdicts:
        if one.is_live and not lost.isdisjoint(one.group.whole):
            one = replace(one, code=refusal.code, where=refusal.where, found=refusal.found)
        result.append(one)
    return result


def _nothing_left(found: FixList, verdicts: Sequence[GroupVerdict]) -> Refusal:
    shown = [f"{one.group.name}: {one.code}: {one.found}" for one in verdicts[:_MOST_SHOWN]]
    said = f"{len(verdicts)} group(s) of {found.old}..{found.new} were tried"
    return Refusal(NO_FIX_CAN_BE_LIVE, found.release, said, evidence=shown)


def _default_name(found: FixList) -> str:
    return f"livepatch_fixes_{re.sub(r'[^0-9a-z]+', '_', found.new.lower())}"


def _had(fixes: Sequence[CoveredFix]) -> tuple[Fix, ...]:
    return tuple(
        Fix(one.fix.title, cves=one.fix.cves) for one in fixes if one.coverage is Coverage.HAD
    )


def _update(found: FixList, fixes: Sequence[CoveredFix]) -> Update:
    """Return what the module is to say of the fixes with CVE numbers in code of its kernel."""
    told = (Coverage.HAD, Coverage.LACKING, Coverage.NOT_CHOSEN)
    listed = (one for one in fixes if one.coverage in told and one.fix.cves)
    return Update(
        found.old,
        found.new,
        tuple(UpdateFix(one.fix.cves, found.objects_of(one.fix), one.reason) for one in listed),
    )
