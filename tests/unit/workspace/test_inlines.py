# SPDX-License-Identifier: GPL-2.0-or-later
"""Headers in which the bodies of static inline functions change and nothing else, and what only
looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.workspace.inlines import changed_bodies
from suture.workspace.lines import renumber
from suture.workspace.preprocessed import essence
from tests.unit.workspace.test_preprocessed import compiled, preprocessed

HEADER = """\
#ifndef H
#define H
#ifdef CONFIG_F
static inline int f(int x)
{
	return x + (1 << 0); /* one more */
}
#else
static inline int f(int x)
{
	return x - (1 << 0);
}
#endif
static inline int
g(int x, int y)
{
	return x * y;
}

struct s {
	int a;
};
#define LINE __LINE__
static __attribute__((always_inline)) inline int h(struct s *s) {
	if (s->a) {
		return '}';
	}
	return f(s->a);
}
extern int e(void);
#endif
"""
USER = "#line 100\nint i(int x, int y)\n{\n\treturn g(x, y) + LINE;\n}\n"


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"x + (1 << 0)": "x + 2"}, {b"f"}),
        ({"x + (1 << 0)": "x + 2", "x * y": "x / y"}, {b"f", b"g"}),
        ({"\treturn x + (1 << 0);": "\tif (x)\n\t\treturn 0;\n\n\treturn x + 2;"}, {b"f"}),
        ({"\tif (s->a) {\n\t\treturn '}';\n\t}\n": ""}, {b"h"}),
        ({"x - (1 << 0)": "x"}, {b"f"}),
        ({"one more": "two\n\t * more"}, set()),
    ],
)
def test_functions_whose_bodies_change_are_named_and_who_mentions_none_stays(
    changes: dict[str, str], names: set[bytes], tmp_path: Path
) -> None:
    new = HEADER
    for one, other in changes.items():
        assert one in HEADER
        new = new.replace(one, other)
    assert changed_bodies(HEADER.encode(), new.encode()) == frozenset(names)
    sources = [
        "#define CONFIG_F\n" + text + USER
        for text in (HEADER, renumber(HEADER.encode(), new.encode()).decode())
    ]
    unmentioned = essence(preprocessed(sources[0], tmp_path), ()).unmentioned
    assert {b"f", b"h"} == unmentioned
    assert (names <= unmentioned) == (
        compiled(sources[0], tmp_path) == compiled(sources[1], tmp_path)
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("f(int x)", "f(long x)"),
        ("static inline int f", "static inline __used int f"),
        ("int a;", "int a, b;"),
        ("CONFIG_F", "CONFIG_G"),
        ("#endif\nstatic", "#endif\nextern int k;\nstatic"),
        ("\treturn x + (1 << 0);", "#ifdef G\n\treturn 2;\n#endif\n\treturn x + (1 << 0);"),
        ("\treturn x + (1 << 0);", '\t_Pragma("x")\n\treturn x + (1 << 0);'),
        ("__LINE__", "2"),
        ("extern int e(void);", "static inline int e(void)\n{\n\treturn 1;\n}"),
        ("\treturn x + (1 << 0); /*", "\treturn x + (1 << 0); } /*"),
        ("return x * y;\n}", "return x * y;\n} int k;"),
        ("g(int x, int y)\n{", "e(int x)\n{"),
        ("return f(s->a)", 'return *R"(x)"'),
    ],
)
def test_anything_else_is_more(one: str, other: str) -> None:
    assert one in HEADER
    assert changed_bodies(HEADER.encode(), HEADER.replace(one, other).encode()) is None


def test_a_function_of_another_name_by_then_is_not_taken_for_it(tmp_path: Path) -> None:
    renamed = "#define f other_f\n#define CONFIG_F\n" + HEADER + USER
    assert b"f" not in essence(preprocessed(renamed, tmp_path), ()).unmentioned
