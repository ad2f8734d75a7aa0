# SPDX-License-Identifier: GPL-2.0-or-later
"""Which fixes count as had, and which files are chosen."""

from __future__ import annotations

import pytest

from suture.errors import LAYOUT_CHANGED, NO_CODE_CHANGE, Refusal
from suture.fixes.chosen import chosen_files
from suture.fixes.coverage import LEFT_OUT, Coverage, CoveredFix, covered, numbers_of
from suture.fixes.groups import FileGroup
from suture.fixes.listing import ChangedFile, FixList, ListedFix
from suture.fixes.matching import Certainty
from suture.fixes.trials import GroupVerdict, TriedPart
from tests.examples import shows


def fix(title: str, *files: str, cve: str = "") -> ListedFix:
    cves = (cve,) if cve else ()
    return ListedFix(title, "2-1", cves, (), Certainty.LIKELY, files, ())


def listed(*fixes: ListedFix, **objects: str) -> FixList:
    """The files are named by letters: ``a="vmlinux"`` is a.c of the core kernel."""
    files = tuple(
        ChangedFile(f"{name}.c", 1, 1, (), tuple(filter(None, (objname,))))
        for name, objname in objects.items()
    )
    return FixList("6.1.0-50-amd64", "1-1", "2-1", fixes, files)


def live(*paths: str, needs: tuple[str, ...] = ()) -> GroupVerdict:
    return GroupVerdict(FileGroup(paths, needs), functions=1)


def refused(*paths: str) -> GroupVerdict:
    return GroupVerdict(FileGroup(paths), LAYOUT_CHANGED.code, paths[0], "it grows")


def only(found: FixList, *verdicts: GroupVerdict) -> CoveredFix:
    (one,) = covered(found, verdicts)
    return one


def test_a_fix_is_had_with_all_files_that_it_may_mean() -> None:
    found = listed(fix("both", "a.c", "b.c"), a="vmlinux", b="vmlinux")
    assert only(found, live("a.c"), live("b.c")).coverage is Coverage.HAD
    lacking = only(found, live("a.c"), refused("b.c"))
    assert lacking.coverage is Coverage.LACKING
    assert lacking.lacking == {"b.c": LAYOUT_CHANGED.code}
    assert lacking.reason == LAYOUT_CHANGED.code


def test_a_file_that_the_kernel_is_not_built_from_does_not_matter() -> None:
    found = listed(fix("both", "a.c", "b.c"), a="vmlinux", b="")
    assert only(found, live("a.c")).coverage is Coverage.HAD
    found = listed(fix("other", "b.c"), b="")
    assert only(found).coverage is Coverage.ELSEWHERE


def test_a_part_that_is_left_out_is_lacking_unless_nothing_would_run_it() -> None:
    found = listed(fix("one", "a.c"), a="vmlinux")
    for is_harmless, coverage in ((True, Coverage.HAD), (False, Coverage.LACKING)):
        part = TriedPart("a.c", "a_init()", "it ran at boot", is_harmless)
        verdict = GroupVerdict(FileGroup(("a.c",)), functions=1, left_out=(part,))
        assert only(found, verdict).coverage is coverage
    assert only(found, verdict).reason == LEFT_OUT


def test_a_part_of_an_unchanged_file_is_lacking_from_the_header_that_changes_it() -> None:
    files = (ChangedFile("a.c", 1, 1, (), ("vmlinux",)), ChangedFile("h.h", 1, 1, (), ("vmlinux",)))
    found = FixList("6.1.0-50-amd64", "1-1", "2-1", (fix("a", "a.c"), fix("h", "h.h")), files)
    part = TriedPart("user.c", "user_init()", "it ran at boot", False)
    verdict = GroupVerdict(FileGroup(("a.c", "h.h")), functions=1, left_out=(part,))
    source, header = covered(found, [verdict])
    assert source.coverage is Coverage.HAD
    assert header.lacking == {"h.h": LEFT_OUT}


def test_a_header_is_in_force_with_who_needs_it() -> None:
    """Alone it does not compile; with its user it does."""
    found = listed(fix("header", "h.c"), h="vmlinux", a="vmlinux")
    alone = GroupVerdict(FileGroup(("h.c",)), "patch-does-not-compile", "h.c", "it failed")
    assert only(found, alone, live("a.c", needs=("h.c",))).coverage is Coverage.HAD


def test_what_changes_nothing_is_not_claimed() -> None:
    same = GroupVerdict(FileGroup(("a.c",)), NO_CODE_CHANGE.code, "a.c", "no function differs")
    found = listed(fix("one", "a.c"), a="vmlinux")
    assert only(found, same).coverage is Coverage.SAME
    found = listed(fix("two", "a.c", "b.c"), a="vmlinux", b="vmlinux")
    assert only(found, same, live("b.c")).coverage is Coverage.HAD
    assert only(found, same, refused("b.c")).coverage is Coverage.LACKING


def test_what_was_not_tried_is_not_chosen() -> None:
    found = listed(fix("one", "a.c"), fix("none"), a="vmlinux")
    one, none = covered(found, [])
    assert one.coverage is Coverage.NOT_CHOSEN
    assert none.coverage is Coverage.UNKNOWN


def test_a_number_counts_where_it_stands_worst() -> None:
    cve = "CVE-2026-0001"
    found = listed(fix("one", "a.c", cve=cve), fix("two", "b.c", cve=cve), a="vmlinux", b="vmlinux")
    numbers = numbers_of(covered(found, [live("a.c"), refused("b.c")]))
    assert numbers[Coverage.LACKING] == {cve}
    assert not numbers[Coverage.HAD]


class TestChosen:
    FOUND = listed(
        fix("netfilter: one", "a.c", cve="CVE-2026-0001"),
        fix("net/sched: two", "b.c", "c.c"),
        a="vmlinux",
        b="vmlinux",
        c="cls_u32",
        d="btrfs",
    )

    def test_what_runs_and_what_its_fixes_may_mean_besides(self) -> None:
        """cls_u32 is not loaded, but the fix of b.c may be in it."""
        assert chosen_files(self.FOUND, frozenset()).wanted == {"a.c", "b.c", "c.c"}

    def test_all(self) -> None:
        assert chosen_files(self.FOUND, None).wanted == {"a.c", "b.c", "c.c", "d.c"}

    @pytest.mark.parametrize(
        ("word", "wanted"),
        [
            ("a.c", {"a.c"}),
            ("cve-2026-0001", {"a.c"}),
            ("netfilter", {"a.c"}),
            ("net/sched:", {"b.c", "c.c"}),
        ],
    )
    def test_some(self, word: str, wanted: set[str]) -> None:
        assert chosen_files(self.FOUND, None, only=[word]).wanted == wanted
        rest = {"a.c", "b.c", "c.c", "d.c"} - wanted
        assert chosen_files(self.FOUND, None, without=[word]).wanted == rest

    def test_a_directory(self) -> None:
        one = ChangedFile("net/sched/a.c", 1, 1, (), ("vmlinux",))
        other = ChangedFile("net/schedule.c", 1, 1, (), ("vmlinux",))
        found = FixList("6.1.0-50-amd64", "1-1", "2-1", (), (one, other))
        assert chosen_files(found, None, only=["net/sched"]).wanted == {"net/sched/a.c"}

    def test_groups_without_what_is_not_wanted(self) -> None:
        groups = (FileGroup(("a.c",)), FileGroup(("b.c",), ("a.c",)), FileGroup(("d.c",)))
        chosen = chosen_files(self.FOUND, None, without=["a.c"])
        assert chosen.groups(groups) == (FileGroup(("d.c",)),)

    def test_what_is_not_listed(self) -> None:
        with pytest.raises(Refusal) as refused:
            chosen_files(self.FOUND, None, only=["CVE-1999-0001"])
        shows(refused.value, "fix-not-listed")
