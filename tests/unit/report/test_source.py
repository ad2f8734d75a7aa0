# SPDX-License-Identifier: GPL-2.0-or-later
"""Hunks, what they change, and why functions are in a live patch."""

from __future__ import annotations

from suture.report.content import FunctionRole, Mark
from suture.report.reasons import Reasons
from suture.report.source import definitions, hunks, spoken_name
from suture.verify.plan import CallerReplacement
from suture.workspace.applying import Changed

HEADER = b"#define LIMIT(x) \\\n\t((x) + 1)\n\nstruct thing {\n\tint a;\n};\n"
CODE = b"""\
static int small(int x)
{
	return LIMIT(x);
}

static int middle(int x)
{
	return small(x) * 2;
}

int large(int x)
{
	return middle(x);
}

int other(struct thing *t)
{
	return t->a;
}

SYSCALL_DEFINE1(newuname, struct new_utsname __user *, name)
{
	return 0;
}
"""
SMALL = Changed("net/a.c", CODE, CODE.replace(b"return LIMIT(x);", b"return LIMIT(x) + 2;"))
CALL = Changed("net/a.c", CODE, CODE.replace(b"return 0;", b"return 1;"))
MACRO = Changed("net/a.h", HEADER, HEADER.replace(b"+ 1", b"+ 3"))


def reasons(*changes: Changed, callers: tuple[CallerReplacement, ...] = ()) -> Reasons:
    return Reasons(changes, hunks(changes), callers, lambda _: CODE)


def test_definitions_are_found_by_their_lines() -> None:
    assert [(one.name, one.first, one.last) for one in definitions(HEADER)] == [
        ("LIMIT", 1, 2),
        ("thing", 4, 6),
    ]
    assert [one.name for one in definitions(CODE)] == [
        "small", "middle", "large", "other", "SYSCALL_DEFINE(newuname)",
    ]  # fmt: skip


def test_a_hunk_has_its_numbers_and_names_what_it_changes() -> None:
    (hunk,) = hunks([SMALL])
    assert (hunk.path, hunk.inside) == ("net/a.c", ("small",))
    changed = [(one.mark, one.old, one.new) for one in hunk.lines if one.mark is not Mark.SAME]
    assert changed == [(Mark.REMOVED, 3, 0), (Mark.ADDED, 0, 3)]
    assert hunks([MACRO])[0].inside == ("LIMIT",)


def test_a_new_file_is_one_hunk() -> None:
    (hunk,) = hunks([Changed("net/b.c", None, b"int new(void)\n{\n\treturn 1;\n}\n")])
    assert hunk.inside == ("new",)
    assert {one.mark for one in hunk.lines} == {Mark.ADDED}


def test_a_function_whose_source_changes_says_so() -> None:
    found = reasons(SMALL)
    assert found.hunks_of("net/a.c", "small.isra.0") == (0,)
    assert found.of("net/a.c", "small", FunctionRole.REPLACED) == "Its source changes."


def test_a_system_call_is_known_by_its_definition() -> None:
    assert spoken_name("__do_sys_newuname") == spoken_name("__x64_sys_newuname")
    assert reasons(CALL).hunks_of("net/a.c", "__do_sys_newuname") == (0,)


def test_a_function_that_another_is_built_into_names_it_and_the_way() -> None:
    reason = reasons(SMALL).of("net/a.c", "large", FunctionRole.REPLACED)
    assert "uses small of net/a.c, through middle" in reason
    assert "inlined" in reason
    called = reasons(SMALL).of("net/a.c", "middle", FunctionRole.REPLACED, {"small"})
    assert "inlined" not in called
    assert "compiled differently" in called


def test_everything_that_is_built_into_a_function_is_named() -> None:
    both = Changed("net/a.c", CODE, SMALL.new.replace(b"small(x) * 2", b"small(x) * 3"))
    found = reasons(both)
    reason = found.of("net/a.c", "large", FunctionRole.REPLACED)
    assert "uses middle of net/a.c, which" in reason
    assert "uses small of net/a.c, through middle" in reason
    # What is called is not built in, and what that uses does not matter.
    called = found.of("net/a.c", "large", FunctionRole.REPLACED, {"middle"})
    assert "small" not in called


def test_a_function_may_have_its_type_in_the_line_before() -> None:
    text = b"static int\nlong_name(int x,\n\t  int y)\n{\n\treturn x;\n}\n"
    assert [(one.name, one.first, one.last) for one in definitions(text)] == [("long_name", 2, 6)]


def test_a_function_that_uses_a_macro_of_a_changed_header_names_it() -> None:
    reason = reasons(MACRO).of("net/a.c", "small", FunctionRole.REPLACED)
    assert "uses LIMIT of net/a.h" in reason


def test_a_caller_names_the_function_that_cannot_be_redirected() -> None:
    caller = CallerReplacement("vmlinux", "net/b.c", "user", "small")
    reason = reasons(SMALL, callers=(caller,)).of("net/b.c", "user", FunctionRole.REPLACED)
    assert "calls small()" in reason
    assert "no fentry call" in reason
    carried = reasons(SMALL).of("net/a.c", "small", FunctionRole.CARRIED)
    assert carried.endswith("so its callers are replaced instead.")


def test_what_cannot_be_explained_is_not_made_up() -> None:
    reason = reasons(MACRO).of("net/a.c", "other", FunctionRole.REPLACED)
    assert reason == "Its source does not change, but its machine code does; net/a.h changes."
