# SPDX-License-Identifier: GPL-2.0-or-later
"""Static functions under another name: the old one's place shows which is which."""

from __future__ import annotations

import pytest

from tests.unit.toolchain import changes

HEAD = """
#define __init __attribute__((section(".init.text"), cold, __noinline__))
#define __exit __attribute__((section(".exit.text"), cold, __noinline__))
#define noinline __attribute__((__noinline__))
extern void make(const char *, int (*)(int));
extern void more(int);
extern int outside(int);
"""
SHOW = "static int show(int x) { return outside(x) + 1; }\n"
FIXED = "static int shown(int x) { return outside(x) + 2; }\n"
MAKE = '__init int start(void) { more(1); make("version", show); more(2); return 0; }\n'
BASE = HEAD + SHOW + MAKE
RUN = "static noinline int show(int x) { return outside(x) + 1; }\nint run(int x) { return show(x) + 1; }\n"
RAN = RUN.replace("show", "shown").replace("outside(x) + 1", "outside(x) + 2")
OPS = "struct ops { int (*show)(int); int (*other)(int); };\n" + HEAD + SHOW
TABLE = "static struct ops ops = { show, outside };\nstruct ops *all(void) { return &ops; }\n"


def renamed(text: str) -> str:
    return text.replace("show(", "shown(").replace("show)", "shown)").replace("show,", "shown,")


PAIRS = {
    "held by what init code made": (BASE, HEAD + FIXED + renamed(MAKE)),
    "init code that has one more call": (
        BASE,
        HEAD + FIXED + renamed(MAKE).replace("more(2)", 'more(7); make("more", outside)'),
    ),
    "held by a table": (OPS + TABLE, renamed(OPS + TABLE).replace("+ 1", "+ 2")),
    "called at unload": (
        HEAD + RUN + "__exit void stop(void) { show(7); }\n",
        HEAD + RAN + "__exit void stop(void) { shown(7); }\n",
    ),
    "called, and held by what running code made": (
        HEAD + RUN + 'void again(void) { make("again", show); }\n',
        HEAD + RAN + 'void again(void) { make("again", shown); }\n',
    ),
}


@pytest.mark.parametrize("case", PAIRS)
def test_it_is_the_old_one_where_the_kernel_goes_on_using_it(case: str) -> None:
    found = changes(*PAIRS[case])
    assert [(before.name, after.name) for before, after in found.changed] == [("show", "shown")]
    assert "start" not in {after.name for _, after in found.once_only} or "one more" in case


def test_a_name_alone_changes_nothing() -> None:
    assert changes(BASE, renamed(BASE)).is_empty


def test_two_are_told_apart_by_their_places() -> None:
    two = HEAD + SHOW.replace("show", "list").replace("+ 1", "+ 5") + SHOW + MAKE
    two = two.replace("more(2)", 'make("list", list)')
    after = renamed(two).replace("list(", "listed(").replace("list)", "listed)")
    found = changes(two, after.replace("+ 1", "+ 2").replace("+ 5", "+ 6"))
    named = sorted((before.name, after.name) for before, after in found.changed)
    assert named == [("list", "listed"), ("show", "shown")]


NEW = {
    "called by replaced code alone": (HEAD + RUN, HEAD + RAN),
    "given for another purpose": (
        BASE,
        HEAD + FIXED + renamed(MAKE).replace('"version"', '"other"'),
    ),
    "both are there": (
        BASE,
        HEAD + SHOW + FIXED + renamed(MAKE) + 'void keep(void) { make("k", show); }\n',
    ),
    "global": (
        BASE.replace("static int show", "int show"),
        HEAD + FIXED.replace("static int", "int") + renamed(MAKE),
    ),
    "in a table that changes": (
        OPS + TABLE,
        renamed(OPS + TABLE)
        .replace("outside };", "shown };")
        .replace("static struct ops ops", "static struct ops ops2")
        .replace("&ops", "&ops2"),
    ),
}


@pytest.mark.parametrize("case", NEW)
def test_in_doubt_it_is_new(case: str) -> None:
    found = changes(*NEW[case])
    assert "shown" not in {after.name for _, after in found.changed}
