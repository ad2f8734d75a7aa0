# SPDX-License-Identifier: GPL-2.0-or-later
"""What a cumulative live patch has and lacks, as a page in the style of reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from suture import __version__
from suture.fixes.coverage import Coverage, CoveredFix, numbers_of
from suture.fixes.cumulative import CumulativeBuild
from suture.fixes.listing import FixList
from suture.fixes.page import several
from suture.fixes.trials import GroupVerdict
from suture.report import page, rows
from suture.report.markup import Child, Markup, element, fragment

_HEADINGS = (
    ("had", Coverage.HAD, "Fixes that it has"),
    ("lacking", Coverage.LACKING, "Fixes that it lacks"),
    ("same", Coverage.SAME, "Fixes that change nothing in this kernel"),
    ("unknown", Coverage.UNKNOWN, "Fixes that no file could be found for"),
)

_LIMITS = (
    "The fixes of a stable update were tested together.  A part of them was tested by nobody "
    "before you: test it with the load of your hosts before you load it there.",
    "What is left out may matter to what is taken: groups are made by the names that files share "
    "and by calls between changed functions, and two files can depend on each other otherwise.",
    "While tasks move to the new code, old and new code run side by side, as with any live patch.",
    "A fix counts as had where all changed files that its title may mean are in force.  A title "
    "does not say all that a fix changes.",
)


def render(found: FixList, built: CumulativeBuild) -> str:
    """Return the whole page."""
    artifact = built.artifact
    header = fragment(
        element("h1", f"{artifact.name}: {found.new} in parts"),
        element("p", f"A live patch for {found.release}, {found.old}.", class_="quiet"),
        page.facts(_facts(built)),
    )
    made = f"Made by Suture {__version__} at {rows.now()}."
    return page.whole(f"Fixes for {found.release}", header, list(_sections(built)), made)


def _facts(built: CumulativeBuild) -> Iterator[tuple[str, str]]:
    artifact = built.artifact
    numbers = {coverage: len(cves) for coverage, cves in numbers_of(built.fixes).items()}
    live = sum(one.is_live for one in built.verdicts)
    yield "CVE fixes that it has", f"{numbers[Coverage.HAD]:,}"
    yield "that it lacks", f"{numbers[Coverage.LACKING]:,}"
    yield "that change nothing here", f"{numbers[Coverage.SAME]:,}"
    yield "Groups of files", f"{live:,} of {len(built.verdicts):,} that were tried"
    functions = sum(1 for _ in artifact.patch.each_function())
    yield "Replaced functions", f"{functions:,} in {len(artifact.patch.objects)} objects"
    yield "SHA-256", artifact.sha256


def _sections(built: CumulativeBuild) -> Iterator[page.PageSection]:
    for name, coverage, heading in _HEADINGS:
        fixes = [one for one in built.fixes if one.coverage is coverage]
        if fixes:
            yield name, f"{heading}: {len(fixes):,}", _fixes(fixes)
    refused = [one for one in built.verdicts if one.is_refused]
    if refused:
        yield "refused", f"Groups that are left out: {len(refused):,}", _groups(refused)
    asking = [one for one in built.verdicts if one.is_live and (one.findings or one.left_out)]
    if asking:
        yield "questions", "Questions, and parts that are left out", _questions(asking)
    yield "limits", "What nobody has checked", element("ul", [element("li", x) for x in _LIMITS])


def _fixes(fixes: Iterable[CoveredFix]) -> Markup:
    columns = ("CVE", "Fix", "Files", "Match", "Lacks")
    return page.table(columns, map(_fix_row, sorted(fixes, key=lambda one: one.fix.title)))


def _fix_row(one: CoveredFix) -> tuple[Child, ...]:
    lacking = [f"{path}: {why}" for path, why in one.lacking.items()]
    return (
        page.separated(page.link(page.CVE_RECORD + cve, cve) for cve in one.fix.cves),
        one.fix.title,
        several(one.fix.files),
        str(one.fix.certainty),
        several(lacking),
    )


def _groups(verdicts: Iterable[GroupVerdict]) -> Markup:
    def row(one: GroupVerdict) -> tuple[Child, ...]:
        because = f"It needs {one.because_of}. " if one.because_of else ""
        return (
            several(one.group.paths),
            element("code", one.code),
            f"{because}{one.where}: {one.found}",
        )

    ordered = sorted(verdicts, key=lambda one: (one.code, one.group.name))
    return page.table(("Files", "Code", "Found"), map(row, ordered))


def _questions(verdicts: Iterable[GroupVerdict]) -> Markup:
    def row(one: GroupVerdict) -> tuple[Child, ...]:
        parts = [f"{part.source}: {part.what} is left out: {part.why}" for part in one.left_out]
        return several(one.group.paths), page.separated([*one.findings, *parts])

    return page.table(("Files", "Found"), map(row, verdicts))
