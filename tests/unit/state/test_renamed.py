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

RENAMED = {
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
