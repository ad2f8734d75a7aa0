# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixes between two versions as a page, in the style of reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from suture import __version__
from suture.fixes.counts import FixCounts, counted
from suture.fixes.listing import FixList
from suture.fixes.matching import Certainty
from suture.fixes.standing import FixStanding
from suture.report import page, rows
from suture.report.markup import Child, Markup, element, fragment

_MATCHES = (
    (
        Certainty.COMMIT,
        "a commit of that title is between the two versions, and these are its files",
    ),
    (Certainty.NAME, "the title has a name that one changed source file alone has in its changes"),
    (Certainty.PLACE, "one changed source file alone is at the place that the title begins with"),
    (Certainty.LIKELY, "these changed files are at that place; each may be meant"),
    (Certainty.UNSURE, "no file can be named"),
)

_MOST_FILES = 6
"""More are counted."""


def render(found: FixList, every: Sequence[FixStanding]) -> str:
    """Return the whole page.

    :param every: how the host stands to each fix of the list.
    """
    counts = counted(found, every)
    header = fragment(
        element("h1", f"What {found.new} fixes in {found.release}"),
        element("p", f"{found.release} is built from {found.old}.", class_="quiet"),
        page.facts(_facts(counts, is_known=any(one.runs is not None for one in every))),
    )
    made = f"Made by Suture {__version__} at {rows.now()}."
    return page.whole(f"Fixes for {found.release}", header, list(_sections(every)), made)


def _facts(counts: FixCounts, *, is_known: bool) -> Iterator[tuple[str, str]]:
    yield "Entries of the changelog", f"{counts.fixes:,}, {counts.sure:,} with a sure match"
    yield "CVE numbers", f"{counts.cves:,}"
    yield "which may be in code of this kernel", f"{counts.cves_of_kernel:,}"
    if is_known:
        yield "which may be in code that runs", f"{counts.cves_running:,}"
        yield "which live patches in force name", f"{counts.cves_in_force:,}"
    yield "which no file could be found for", f"{counts.cves_unsure:,}"
    yield (
        "Files of code that differ",
        f"{counts.files:,}, {counts.files_of_kernel:,} of this kernel",
    )


def _sections(every: Sequence[FixStanding]) -> Iterator[page.PageSection]:
    reaching = [one for one in every if one.objects and one.runs is not False]
    groups = (
        ("in-force", "In force", [one for one in every if one.in_force]),
        ("cves", "With CVE numbers", _open(one for one in reaching if one.fix.cves)),
        ("others", "Without CVE numbers", _open(one for one in reaching if not one.fix.cves)),
        ("not-running", "In code that does not run", [one for one in every if one.runs is False]),
        ("unsure", "No file found", _open(one for one in every if not one.fix.files)),
    )
    for name, heading, group in groups:
        if group:
            yield name, f"{heading}: {len(group):,}", _table(group)
    yield "matches", "What the matches mean", page.facts(_MATCHES)
    yield "limits", "What this page does not say", _limits()


def _open(some: Iterable[FixStanding]) -> list[FixStanding]:
    return [one for one in some if not one.in_force]


def _table(group: Iterable[FixStanding]) -> Markup:
    columns = ("CVE", "Fix", "In", "Files", "Match", "Live patch")
    ordered = sorted(group, key=lambda one: (one.objects, one.fix.title))
    return page.table(columns, map(_row, ordered))


def _row(one: FixStanding) -> tuple[Child, ...]:
    fix = one.fix
    return (
        page.separated(page.link(page.CVE_RECORD + cve, cve) for cve in fix.cves),
        fix.title,
        several(one.objects),
        several(fix.files),
        str(fix.certainty),
        one.in_force,
    )


def several(names: Sequence[str]) -> Child:
    """Return some names, and how many more there are."""
    if not names:
        return ""
    more = len(names) - _MOST_FILES
    shown: list[Child] = [element("code", name) for name in names[:_MOST_FILES]]
    return page.separated([*shown, f"and {more} more"] if more > 0 else shown)


def _limits() -> Markup:
    said = (
        "A fix may also touch files that its title does not point to.",
        "An entry may be in code that the host runs and still not matter to it.",
        "The fixes of a stable update were tested together, not one by one.",
    )
    return element("ul", [element("li", one) for one in said])
