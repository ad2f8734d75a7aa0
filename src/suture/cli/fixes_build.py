# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture fixes --build``"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.output import Human, emit, in_parts, table

if TYPE_CHECKING:
    from suture.fixes.coverage import CoveredFix
    from suture.fixes.cumulative import CumulativeBuild
    from suture.fixes.listing import FixList
    from suture.fixes.trials import GroupVerdict
    from suture.kernel.release import Target

_LONGEST = 90
"""Characters of a reason in the table."""


@dataclass(frozen=True, slots=True)
class FixesBuild:
    """A request for a live patch of the fixes of a list."""

    target: Target
    found: FixList
    only: Sequence[str]
    without: Sequence[str]
    output: Path | None
    name: str | None
    report: Path | None

    def run(self, loaded: Collection[str] | None, *, of_all: bool) -> None:
        """Build the live patch, and print what it has and lacks.

        :param loaded: the modules that the host runs; None where they are not known.
        :param of_all: take all code that the kernel is built from.
        """
        from suture.fixes.build_page import render
        from suture.fixes.chosen import chosen_files
        from suture.fixes.cumulative import build_fixes
        from suture.host.files import write_atomic

        if loaded is None and not of_all and not self.only:
            raise click.UsageError(
                "which modules run is known of this host's running kernel alone: give --modules "
                "FILE of the host, or --all, or --only"
            )
        chosen = chosen_files(self.found, None if of_all else loaded, self.only, self.without)
        built = build_fixes(
            self.target,
            self.found,
            chosen,
            output=self.output,
            directory=Path(),
            name=self.name,
        )
        if self.report is not None:
            write_atomic(self.report, render(self.found, built).encode("utf-8", "replace"))
        emit(_document(self.found, built), lambda: _for_people(self.found, built))


def _document(found: FixList, built: CumulativeBuild) -> dict[str, object]:
    artifact = built.artifact
    return {
        "release": found.release,
        "version": found.old,
        "to": found.new,
        "module": artifact.path,
        "name": artifact.name,
        "sha256": artifact.sha256,
        "size": len(artifact.data),
        "seconds": round(artifact.seconds, 1),
        "objects": artifact.patch.objects,
        "groups": [
            {
                "files": one.group.paths,
                "needs": one.group.needs,
                "live": one.is_live,
                "code": one.code or None,
                "where": one.where,
                "found": one.found,
                "because_of": one.because_of or None,
                "functions": one.functions,
                "left_out": one.left_out,
                "findings": one.findings,
            }
            for one in built.verdicts
        ],
        "fixes": [
            {
                "title": one.fix.title,
                "cves": one.fix.cves,
                "coverage": one.coverage,
                "lacking": one.lacking,
            }
            for one in built.fixes
        ],
    }


def _for_people(found: FixList, built: CumulativeBuild) -> Human:
    artifact = built.artifact
    live = [one for one in built.verdicts if one.is_live]
    functions = sum(1 for _ in artifact.patch.each_function())
    parts: list[Human] = [
        f"{artifact.path} is a live patch for {artifact.target.release}: {found.new} in parts.",
        f"It replaces {functions} functions in {len(artifact.patch.objects)} objects, of "
        f"{len(live)} groups of files; {len(built.verdicts)} were tried.",
        _of_cves(built.fixes),
    ]
    refused = [one for one in built.verdicts if one.is_refused]
    if refused:
        rows = [_row(one) for one in sorted(refused, key=lambda one: (one.code, one.group.name))]
        parts += ["", table(("left out", "because", ""), rows)]
    if questions := sum(len(one.findings) for one in live):
        parts += ["", f"{questions} warnings and questions: --report and --json have them."]
    way = f"suture test {artifact.path} --rounds 50 --workload"
    parts += ["", f"Nothing is loaded.  Try it first: '{way}'"]
    return in_parts(*parts)


def _of_cves(fixes: Sequence[CoveredFix]) -> str:
    from suture.fixes.coverage import Coverage, numbers_of

    numbers = {coverage: len(cves) for coverage, cves in numbers_of(fixes).items()}
    had = numbers[Coverage.HAD]
    total = had + numbers[Coverage.LACKING]
    return (
        f"It has {had} of the {total} CVE fixes that it was to have; {numbers[Coverage.SAME]} more "
        "change nothing in this kernel."
    )


def _row(verdict: GroupVerdict) -> tuple[str, str, str]:
    more = len(verdict.group.paths) - 1
    name = f"{verdict.group.name} and {more} more" if more else verdict.group.name
    because = f"needs {verdict.because_of}: " if verdict.because_of else ""
    reason = f"{because}{verdict.where}: {verdict.found}"
    return name, verdict.code, reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}..."
