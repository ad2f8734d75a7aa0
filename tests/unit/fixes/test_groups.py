# SPDX-License-Identifier: GPL-2.0-or-later
"""Changed files in groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from suture.errors import PATCH_DOES_NOT_COMPILE, Refusal
from suture.fixes.declarations import Declarations, HeaderNames
from suture.fixes.groups import MOST_CALLERS, FileGroup, groups
from suture.fixes.names import ChangedNames

KNOWN_NOWHERE: Mapping[bytes, Collection[str]] = {}


def file(
    path: str,
    *,
    brought: Collection[str] = (),
    taken: Collection[str] = (),
    mentioned: Collection[str] = (),
    functions: Collection[str] = (),
    defined: Collection[str] = (),
) -> ChangedNames:
    def words(some: Collection[str]) -> frozenset[bytes]:
        return frozenset(one.encode() for one in some)

    return ChangedNames(
        path,
        words(brought),
        words(taken),
        words([*mentioned, *brought, *taken]),
        words(functions),
        words([*defined, *functions]),
    )


def grouped(
    *files: ChangedNames, known: Mapping[bytes, Collection[str]] = KNOWN_NOWHERE
) -> tuple[FileGroup, ...]:
    return groups(files, lambda word: known.get(word, ()))


def test_files_with_nothing_in_common_stand_alone() -> None:
    found = grouped(file("a.c", brought=["x"]), file("b.c", brought=["y"]))
    assert found == (FileGroup(("a.c",)), FileGroup(("b.c",)))


def test_the_user_of_a_new_name_needs_what_declares_it() -> None:
    """The declaration alone changes nothing, and needs no user."""
    found = grouped(file("user.c", brought=["helper"]), file("lib.h", brought=["helper"]))
    assert found == (FileGroup(("lib.h",)), FileGroup(("user.c",), ("lib.h",)))


def test_a_name_that_the_kernel_knows_says_nothing() -> None:
    files = file("user.c", brought=["helper"]), file("lib.h", brought=["helper"])
    found = grouped(*files, known={b"helper": ["elsewhere.h"]})
    assert [one.needs for one in found] == [(), ()]


def test_who_takes_a_name_away_needs_its_users() -> None:
    files = file("user.c", taken=["old_name"]), file("lib.h", taken=["old_name"])
    found = grouped(*files, known={b"old_name": ["user.c", "lib.h"]})
    assert found == (FileGroup(("user.c",)), FileGroup(("lib.h",), ("user.c",)))


def test_a_name_that_stays_elsewhere_is_not_taken_away() -> None:
    files = file("user.c", taken=["old_name"]), file("lib.h", taken=["old_name"])
    found = grouped(*files, known={b"old_name": ["user.c", "lib.h", "other.c"]})
    assert [one.needs for one in found] == [(), ()]


def test_a_changed_function_and_its_changed_callers_go_together() -> None:
    """As where a function no longer takes a lock that its callers now take."""
    callee = file("callee.c", functions=["take"])
    caller = file("caller.c", mentioned=["take", "lock"])
    assert grouped(callee, caller) == (FileGroup(("callee.c", "caller.c")),)


def test_a_function_that_nearly_all_call_joins_nothing() -> None:
    callers = [file(f"{number}.c", mentioned=["get"]) for number in range(MOST_CALLERS + 1)]
    found = grouped(file("callee.c", functions=["get"]), *callers)
    assert len(found) == MOST_CALLERS + 2


def test_each_group_comes_after_those_that_it_needs() -> None:
    top = file("top.c", brought=["middle_name"])
    middle = file("middle.h", brought=["middle_name", "low_name"])
    low = file("low.h", brought=["low_name"])
    found = grouped(top, middle, low)
    seen: set[str] = set()
    for group in found:
        assert set(group.needs) <= seen
        seen |= set(group.paths)
    assert FileGroup(("top.c",), ("low.h", "middle.h")) in found


def test_a_group_is_named_after_its_first_source_file() -> None:
    assert FileGroup(("a.h", "b.c", "c.c")).name == "b.c"
    assert FileGroup(("a.h",)).name == "a.h"


class TestWhatTheCompilerMisses:
    GROUPS = (FileGroup(("deep.h",)), FileGroup(("lib.h",), ("deep.h",)), FileGroup(("user.c",)))
    USER = GROUPS[2]

    def missing(self, error: str, *, where: str = "user.c", group: FileGroup = USER) -> set[str]:
        names = HeaderNames("lib.h", frozenset(["helper"]), frozenset(["helper", "other"]))
        refusal = Refusal(PATCH_DOES_NOT_COMPILE, where, "it failed", evidence=error.splitlines())
        return Declarations(self.GROUPS, [names]).missing(group, refusal)

    def test_a_function_that_a_changed_header_brings(self) -> None:
        error = "user.c:3:1: error: implicit declaration of function 'helper'"
        assert self.missing(error) == {"lib.h", "deep.h"}

    def test_a_function_whose_declaration_the_compiler_shows(self) -> None:
        error = "user.c:3:1: error: too many arguments to function 'take'\n./lib.h:7:1: note: declared here"
        assert self.missing(error) == {"lib.h", "deep.h"}

    def test_who_uses_a_header_that_does_not_compile_without_it(self) -> None:
        error = "user.c:3:1: error: too few arguments to function 'take'"
        assert self.missing(error, group=self.GROUPS[0]) == {"user.c"}

    def test_nothing_that_is_there_already(self) -> None:
        group = FileGroup(("user.c",), ("deep.h", "lib.h"))
        assert self.missing("user.c:3:1: error: 'helper' undeclared", group=group) == set()
