# SPDX-License-Identifier: GPL-2.0-or-later
"""Which fixes a live patch has of which groups of files.

A fix counts as had only where every changed file that its entry may mean is in it, or is the same
code before and after.  "Likely" matches name several files: all of them count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from suture.fixes.listing import FixList, ListedFix
from suture.fixes.trials import GroupVerdict


class Coverage(StrEnum):
    """How a live patch stands to a fix.

    :cvar HAD: it has all of it.
    :cvar SAME: the kernel's code is the same with and without the fix.
    :cvar LACKING: it lacks it, or a part of it.
    :cvar NOT_CHOSEN: it was not to have any file that the entry may mean.
    :cvar ELSEWHERE: the kernel is not built from any file that the entry may mean.
    :cvar UNKNOWN: no file can be named for the entry.
    """

    HAD = "had"
    SAME = "same"
    LACKING = "lacking"
    NOT_CHOSEN = "not-chosen"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CoveredFix:
    """A fix and a live patch.

    :ivar lacking: the files that it lacks -> why: a refusal's code, ``left-out`` for a part that
        the live patch leaves out, ``not-chosen``.
    """

    fix: ListedFix
    coverage: Coverage
    lacking: Mapping[str, str]

    @property
    def reason(self) -> str:
        """The first reason, or ""."""
        return next(iter(self.lacking.values()), "")


LEFT_OUT = "left-out"


def covered(found: FixList, verdicts: Sequence[GroupVerdict]) -> tuple[CoveredFix, ...]:
    """Return how a live patch of the live groups stands to each fix of a list."""
    state = _states(verdicts)
    built = {one.path for one in found.files if one.objects}
    return tuple(_one(fix, state, built) for fix in found.fixes)


def _states(verdicts: Sequence[GroupVerdict]) -> dict[str, str]:
    """Return path -> why the file is not in force; "" where it is, "same" where nothing changes."""
    state: dict[str, str] = {}
    for verdict in verdicts:
        for path in verdict.group.paths:
            state[path] = Coverage.SAME if verdict.changes_nothing else verdict.code
    for verdict in verdicts:
        if verdict.is_live:
            # A header may be live with who uses it though it is not alone.
            state |= {path: "" for path in verdict.group.whole if state.get(path) != LEFT_OUT}
            state |= dict.fromkeys(_in_part(verdict), LEFT_OUT)
    return state


def _in_part(verdict: GroupVerdict) -> Iterator[str]:
    """Yield the files of which a live patch leaves out a part that code of the kernel would run.

    What is left out of a file that does not change itself comes from the changed headers.
    """
    whole = verdict.group.whole
    for part in verdict.left_out:
        if not part.is_harmless:
            own = [path for path in whole if path == part.source]
            yield from own or [path for path in whole if path.endswith(".h")]


def _one(fix: ListedFix, state: Mapping[str, str], built: Collection[str]) -> CoveredFix:
    if not fix.files:
        return CoveredFix(fix, Coverage.UNKNOWN, {})
    here = [path for path in fix.files if path in built]
    if not here:
        return CoveredFix(fix, Coverage.ELSEWHERE, {})
    states = {path: state.get(path, Coverage.NOT_CHOSEN) for path in here}
    lacking = {path: why for path, why in states.items() if why not in ("", Coverage.SAME)}
    if lacking:
        is_chosen = any(path in state for path in here)
        coverage = Coverage.LACKING if is_chosen else Coverage.NOT_CHOSEN
        return CoveredFix(fix, coverage, lacking)
    is_same = all(why == Coverage.SAME for why in states.values())
    return CoveredFix(fix, Coverage.SAME if is_same else Coverage.HAD, {})


def numbers_of(fixes: Sequence[CoveredFix]) -> dict[Coverage, frozenset[str]]:
    """Return the CVE numbers of each coverage; a number of several fixes counts where it stands
    worst."""
    found: dict[Coverage, frozenset[str]] = {}
    seen: frozenset[str] = frozenset()
    for coverage in _WORST_FIRST:
        cves = frozenset(cve for one in fixes if one.coverage is coverage for cve in one.fix.cves)
        found[coverage] = cves - seen
        seen |= cves
    return found


_WORST_FIRST = (
    Coverage.LACKING,
    Coverage.NOT_CHOSEN,
    Coverage.UNKNOWN,
    Coverage.HAD,
    Coverage.SAME,
    Coverage.ELSEWHERE,
)
