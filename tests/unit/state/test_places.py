# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of functions, and of what they mention."""

from __future__ import annotations

from suture.errors import Finding
from suture.state.definitions import users
from suture.state.lost_functions import lost_functions
from suture.state.places import Places, bodies
from suture.state.reach import Reach
from suture.state.set_up import unset_state
from suture.workspace.applying import Changed
from tests.unit.state.test_set_up import BEFORE, LOST, patched
from tests.unit.toolchain import changes

SOURCE = b"""\
struct ctx { int reads; };
/* show(): reads */
static int show(struct seq_file *m,
\t\tvoid *v)
{
\tint reads = 0; // ctx->reads
\tm->private->reads++;
}
static inline int brief(struct ctx *c) { return c->reads; }
int open(struct ctx *c) {
\tc->reads = 1;
}
#ifdef A
int twice(struct ctx *c)
{
\tc->reads = 2;
}
#else
int twice(struct ctx *c)
{
\tc->reads = 3;
}
#endif
"""
CHANGED = (Changed("one.c", b"", SOURCE),)


def test_a_function_is_found_by_name_and_its_lines_by_what_they_mention() -> None:
    places = Places(CHANGED)
    assert str(places.of("one.c", "show")) == "one.c:3"
    assert str(places.of("one.c", "show", r"->reads\b")) == "one.c:7"
    assert str(places.of("two.c", "open", r"\breads\b")) == "one.c:11"
    assert str(places.of("two.c", "gone")) == "two.c"
    assert str(places.of_name("one.c", "ctx")) == "one.c:1"


def test_members_are_used_in_functions_once_each() -> None:
    found = [(one.function, one.line) for one in users(CHANGED, ["reads"], of_object=True)]
    assert found == [("show", 7), ("open", 11), ("twice", 16)]


def test_a_body_is_what_stands_in_braces_and_both_of_two() -> None:
    found = bodies(SOURCE + b"static DEFINE_IDTABLE(ids) = {\n\t{ ctx->reads },\n};\n")
    assert sorted(found) == ["open", "show", "twice"]
    assert found["show"].text == "{\n\tint reads = 0;  \n\tm->private->reads++;"
    assert found["open"].text == "\tc->reads = 1;"
    assert [number for number, line in found["twice"].lines if "reads" in line] == [16, 21]


def in_kernel_layout(text: str) -> str:
    return text.replace("{ return", "{\n\treturn").replace("; }\n", ";\n}\n")


def line_of(text: str, part: str) -> int:
    (number,) = [number for number, line in enumerate(text.splitlines(), 1) if part in line]
    return number


def found_in(before: str, after: str) -> list[Finding]:
    places = Places((Changed("one.c", before.encode(), after.encode()),))
    reach = Reach({"one.c": changes(before, after)})
    return [*unset_state(reach, places), *lost_functions(reach, places)]


def test_what_is_not_set_up_is_said_with_the_lines_of_both() -> None:
    after = in_kernel_layout(patched("static char *text;\n", "x += *text;", 'text = make("a");'))
    (finding,) = found_in(in_kernel_layout(BEFORE), after)
    fills, uses = line_of(after, "text = make"), line_of(after, "x += *text")
    assert finding.evidence == (
        f"start() stores to it, and is left out (one.c:{fills})",
        f"run() reads it (one.c:{uses})",
    )
    assert finding.where == f"one.c:{uses}: run()"


def test_a_function_that_takes_the_place_of_another_is_said_with_its_line() -> None:
    before = in_kernel_layout(LOST)
    after = before.replace("show", "shown").replace("+ 1", "+ 2").replace("old", "new")
    after = after.replace("int run(int x) {\n", "int run(int x) {\n\tx++;\n")
    (finding,) = found_in(before, after)
    assert finding.where == f"one.c:{line_of(after, 'int shown(')}: shown()"
    names_it = line_of(after, 'put("new')
    assert finding.evidence == (f"start() names it in one.c:{names_it}",)
