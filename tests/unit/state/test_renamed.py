# SPDX-License-Identifier: GPL-2.0-or-later
"""Static variables under another name: refused, for the kernel's state is in the old one."""

from __future__ import annotations

import pytest

from suture.builder.findings import judged
from suture.errors import Acceptance, Refusal
from suture.state.renamed import renamed_state
from tests.examples import shows
from tests.unit.toolchain import changes

HEAD = "extern int outside(int);\n"
BASE = HEAD + "static int count;\nint next(int x) { count += x; return outside(count); }\n"
LOCAL = HEAD + "int next(int x) { static int count; count += x; return outside(count); }\n"

PAIR = (
    HEAD
    + "static struct { long a; int b; } pair;\nlong next(int x) { pair.a += x; return pair.b += x; }\n"
)
SPLIT = HEAD + "static long a; static int b;\nlong next(int x) { a += x; return b += x; }\n"
TWO = HEAD + "static int one; static long two;\nlong next(int x) { one += x; return two += one; }\n"

RENAMED = {
    "a global": (
        BASE.replace("static ", ""),
        BASE.replace("static ", "").replace("count", "total"),
    ),
    "a global that was static": (BASE, BASE.replace("static ", "").replace("count", "total")),
    "several at once": (TWO, TWO.replace("one", "first").replace("two", "second")),
    "a structure that is split": (PAIR, SPLIT),
    "a structure that takes two": (SPLIT, PAIR),
    "another name": (BASE, BASE.replace("count", "total")),
    "from function to file": (LOCAL, BASE),
    "from file to function": (BASE, LOCAL),
}


@pytest.mark.parametrize("case", RENAMED)
def test_a_variable_that_is_called_otherwise_is_refused(case: str) -> None:
    findings = list(renamed_state(changes(*RENAMED[case])))
    with pytest.raises(Refusal) as refused:
        judged(findings, ())
    assert refused.value.code == "state-renamed"
    if case == "another name":
        shows(refused.value, "state-renamed")


def test_of_several_each_is_named_once() -> None:
    findings = list(renamed_state(changes(*RENAMED["several at once"])))
    assert sorted(one.name for one in findings) == ["first", "second"]


def test_what_a_structure_becomes_is_named() -> None:
    (finding,) = renamed_state(changes(*RENAMED["a structure that is split"]))
    assert finding.name == "pair"
    assert finding.found.startswith("pair goes and a and b come, 16 bytes together")


def test_a_global_that_only_other_files_use_is_found() -> None:
    user = HEAD + "extern int count;\nint next(int x) { count += x; return outside(count); }\n"
    defined = changes(
        "int count;\nint f(void) { return 1; }\n", "int total;\nint f(void) { return 2; }\n"
    )
    using = changes(user, user.replace("count", "total"))
    assert list(renamed_state(defined)) == []
    (finding,) = renamed_state(defined, [using])
    assert (finding.name, "next() uses both" in finding.found) == ("total", True)


NO_STATE = {
    "a constant": "static const int some_table[] = { 1, 2, 3 };\nint at(int x) { return some_table[x]; }\n",
    "whether it has warned": "int at(int x) { static _Bool __already_done; if (!__already_done) { "
    "__already_done = 1; outside(1); } return x; }\n",
    "the rate of messages": "extern int ___ratelimit(void *, const char *);\nstatic long some_rs[5];\n"
    'int at(int x) { if (___ratelimit(some_rs, "at")) outside(x); return x; }\n',
    "a key of lockdep": "extern void init(void *);\n"
    "int at(int x) { static int __key; init(&__key); return x; }\n",
    "what is done once": "int at(int x) { static _Bool ___done; if (!___done) outside(1); ___done = 1; "
    "return x; }\n",
}


@pytest.mark.parametrize("case", NO_STATE)
def test_what_has_no_state_may_have_any_name(case: str) -> None:
    before = HEAD + NO_STATE[case]
    after = before.replace("some_", "other_").replace("return x", "return x + 1")
    moved = after.replace("int at", "static int was(int x) { return outside(x); }\nint at")
    assert list(renamed_state(changes(before, moved))) == []


NEW = {
    "of another size": BASE.replace("static int count", "static long count").replace("count", "c"),
    "beside the old one": BASE + "static int more;\nint other(int x) { return more += x; }\n",
    "used by other functions": HEAD
    + "int next(int x) { return outside(x); }\n"
    + "static int more;\nint other(int x) { return more += x; }\n",
    "beside one that is gone": HEAD
    + "int next(int x) { static const int kept[] = { 1, 2 }; return outside(kept[x]); }\n",
}


@pytest.mark.parametrize("after", NEW.values(), ids=NEW)
def test_a_variable_that_is_new_is_no_other(after: str) -> None:
    found = changes(BASE, after)
    assert not found.is_empty
    assert list(renamed_state(found)) == []


def test_the_author_accepts_by_name_and_says_why() -> None:
    findings = list(renamed_state(changes(*RENAMED["another name"])))
    accepted = judged(findings, [Acceptance("state-renamed", "total", "it only counts calls")])
    assert [one.because for one in accepted] == ["it only counts calls"]
    with pytest.raises(Refusal):
        judged(findings, [Acceptance("state-renamed", "count", "of another name")])
