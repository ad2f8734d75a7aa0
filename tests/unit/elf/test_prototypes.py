# SPDX-License-Identifier: GPL-2.0-or-later
"""Prototypes as the compiler's debug information has them."""

from __future__ import annotations

import pytest

from suture.elf.prototypes import Prototype, prototypes
from tests.unit.toolchain import compile_c

SOURCE = """
typedef unsigned int u32;
struct s { int a; };
typedef struct { int a; } unnamed_t;
typedef int (*callback)(struct s *, const char *);
enum e { ONE };
extern int outside(u32 count, const struct s *one, ...);
extern void never_called(int);
struct s by_value(struct s one, unnamed_t other) { one.a += other.a; return one; }
int many(const struct s *one, unnamed_t *two, callback three, enum e four, u32 five[4], void *six, _Bool seven)
{
	return outside(1, one) + three((struct s *)one, "x") + two->a + four + five[0] + seven + !six;
}
static __attribute__((noinline)) void quiet(int *where) { *where = 1; }
void loud(int *where) { quiet(where); }
"""


def found(*names: str, source: str = SOURCE) -> dict[str, str]:
    return {name: str(one) for name, one in prototypes(compile_c(source, "-g"), names).items()}


def test_what_is_defined_and_what_is_called_is_found() -> None:
    assert found("by_value", "many", "outside", "quiet", "loud", "never_called") == {
        "by_value": "struct s of 4 bytes (struct s of 4 bytes, struct unnamed_t of 4 bytes)",
        "many": "int (struct s *, struct unnamed_t *, (int (struct s *, char *)) *, enum e of 4 bytes, "
        "unsigned int *, void *, _Bool)",
        "outside": "int (unsigned int, struct s *, ...)",
        "quiet": "void (int *)",
        "loud": "void (int *)",
    }


def prototype(declaration: str, options: str = "-g") -> Prototype:
    source = f"struct s {{ long a, b, c; }};\ntypedef int s32;\n{declaration} {{ for (;;); }}"
    return prototypes(compile_c(source, options), ["f"])["f"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int f(int a)", "int f(int other)"),
        ("int f(int a, char *b)", "s32 f(const s32 a, const char *b)"),
        ("void f(int a)", "int f(int a)"),
        ("void f(void)", "char *f(void)"),
    ],
)
def test_old_callers_are_served(old: str, new: str) -> None:
    assert prototype(new).serves(prototype(old))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int f(int a)", "int f(int a, int b)"),
        ("int f(int a, int b)", "int f(int a)"),
        ("int f(int a, char *b)", "int f(char *b, int a)"),
        ("int f(int a)", "int f(long a)"),
        ("int f(int a)", "int f(unsigned int a)"),
        ("int f(struct s *a)", "int f(void *a)"),
        ("int f(struct s *a)", "int f(struct s a)"),
        ("int f(int a)", "int f(int a, ...)"),
        ("int f(int a)", "void f(int a)"),
        ("int f(int a)", "long f(int a)"),
        ("void f(int a)", "struct s f(int a)"),
        ("int f(int (*a)(int))", "int f(int (*a)(char))"),
    ],
)
def test_old_callers_would_be_wrong(old: str, new: str) -> None:
    assert not prototype(new).serves(prototype(old))


def test_a_structure_that_grows_matters_where_it_is_passed_by_value() -> None:
    sides = [
        f"struct s {{ int a[{count}]; }}; int f(struct s a) {{ return a.a[0]; }}"
        for count in (1, 2)
    ]
    one, two = (prototypes(compile_c(source, "-g"), ["f"])["f"] for source in sides)
    assert not two.serves(one)
