# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a patch may change a prototype, seen from the text alone."""

from __future__ import annotations

import pytest

from suture.workspace.applying import Changed
from suture.workspace.declarations import may_change_prototypes

SOURCE = r"""
/* f( { */
#define TWICE(x) ({ (x) * 2; })
struct pair { int a, b; };
static const char *text[] = { "}", "{" };
static int f(struct pair *p) // {
{
	char brace = '{';
#define LOCAL 1
	if (p->a) {
		return LOCAL + TWICE(p->b) + brace;
	}
	return 0;
}

#ifdef CONFIG_A
int g(int x) {
#else
int g(long x) {
#endif
	return x;
}

int h(int x, int y)
{
	return x + y;
}
"""


def may(old: str, new: str, source: str = SOURCE) -> bool:
    assert source.count(old) == 1
    return may_change_prototypes(
        [Changed("a.c", source.encode(), source.replace(old, new).encode())]
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 0;", "return -1;"),
        ("return x;", "{ return x + 1; }"),
        ("return x + y;", "return x - y;"),
        ("\treturn x + y;", "\tint z = y;\n\n\treturn x + z;"),
        ("char brace = '{';", "char brace = '}';"),
        ("/* f( { */", "/* f( {{ */"),
        ("int y)\n{", "int y)\n\n{"),
    ],
)
def test_bodies_and_comments_change_no_prototype(old: str, new: str) -> None:
    assert not may(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("struct pair *p", "struct pair *q"),
        ("int x, int y", "int x, long y"),
        ("int a, b;", "int a, b, c;"),
        ("int g(long x)", "int g(int x)"),
        ("int h(int x", "static int h(int x"),
        ("#define LOCAL 1", "#define LOCAL 2"),
        ("(x) * 2", "(x) * 3"),
        ('"}", "{"', '"}", "("'),
        ("#ifdef CONFIG_A", "#ifdef CONFIG_B"),
        ("\treturn x + y;\n}", "\treturn x + y;\n}\nint added;"),
    ],
)
def test_everything_else_might(old: str, new: str) -> None:
    assert may(old, new)


def test_a_new_file_might() -> None:
    assert may_change_prototypes([Changed("new.h", None, b"int f(void);\n")])
