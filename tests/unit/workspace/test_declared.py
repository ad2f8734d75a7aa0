# SPDX-License-Identifier: GPL-2.0-or-later
"""The names by which a change in a header can reach an object, and changes that may reach any."""

from __future__ import annotations

import pytest

from suture.workspace.declared import code_lines, header_change, leads_to

HEADER = """\
#ifndef H
#define H
#include <linux/types.h>
#define LIMIT 4
#define LOOKUP(x) \\
	find(x, LIMIT)
struct s {
	int a;
};
enum kind { ONE, TWO };
enum more {
	THREE,
	FOUR
};
static inline int f(int x)
{
	return x + LIMIT;
}
extern int e(void);
int g(int x);
#endif
"""
AFTER = "extern int e(void);\n"

NAMED: dict[str, tuple[str, str, set[bytes]]] = {
    "a new macro": (AFTER, f"{AFTER}#define FOLL_NEW 0x1 /* internal */\n", {b"FOLL_NEW"}),
    "a macro with arguments": (AFTER, f"{AFTER}#define F(x, y) \\\n\t((x) + (y))\n", {b"F"}),
    "another value": ("LIMIT 4", "LIMIT 5", {b"LIMIT"}),
    "a macro that goes": ("#define LIMIT 4\n", "", {b"LIMIT"}),
    "another line of a macro": ("find(x, LIMIT)", "find(x, 3)", {b"LOOKUP"}),
    "a prototype": (AFTER, f"{AFTER}struct page *h(struct s *s, int (*f)(int));\n", {b"h"}),
    "a prototype of several lines": (AFTER, f"{AFTER}int h(int x,\n\t  int y) __must_check;\n", {b"h"}),
    "a variable": (AFTER, f"{AFTER}extern struct s *table[4];\n", {b"table"}),
    "a variable with an attribute": (AFTER, f"{AFTER}extern int n __read_mostly;\n", {b"n", b"__read_mostly"}),
    "a name that looks like an attribute": (AFTER, f"{AFTER}extern int __n;\n", {b"int", b"__n"}),
    "a type": (AFTER, f"{AFTER}struct t {{\n\tstruct s s;\n\tstruct u {{ int b; }} u;\n}};\n", {b"t", b"u"}),
    "a type by name": (AFTER, f"{AFTER}struct t;\ntypedef int (*call_t)(int);\ntypedef struct s s_t;\n",
                       {b"t", b"call_t", b"s_t"}),
    "enumerators": (AFTER, f"{AFTER}enum {{ A = 1, B, }};\n".replace("enum {", "enum e {"), {b"e", b"A", b"B"}),
    "another enumerator": ("ONE, TWO", "ONE, TWO, THREE", {b"kind", b"ONE", b"TWO", b"THREE"}),
    "an enumerator of several lines": ("\tTHREE,\n", "\tTHREE,\n\tHALF,\n", {b"HALF", b"FOUR"}),
    "the last enumerator": ("\tFOUR\n", "\tFOUR,\n\tFIVE = 9,\n", {b"FOUR", b"FIVE"}),
    "an enumerator that goes": ("\tTHREE,\n", "", {b"THREE", b"FOUR"}),
    "a shifted enumerator": ("\tTHREE,\n", "\tTHREE = 1 << 4,\n", {b"THREE", b"FOUR"}),
    "a negative enumerator": ("\tFOUR\n", "\tFOUR = -1\n", {b"more", b"FOUR"}),
    "an enumerator too large for an int": ("\tFOUR\n", "\tFOUR = 1 << 31\n", {b"more", b"FOUR"}),
    "an enumerator with another's value": ("\tFOUR\n", "\tFOUR = LIMIT\n", {b"more", b"FOUR"}),
    "a static inline function": (AFTER, f"{AFTER}static inline int h(void)\n{{\n\treturn 1;\n}}\n", {b"h"}),
    "another body": ("return x + LIMIT", "return x - LIMIT", {b"f"}),
    "a function that goes": ("static inline int f(int x)\n{\n\treturn x + LIMIT;\n}\n", "", {b"f"}),
    "either of two": (
        AFTER,
        f"{AFTER}#ifdef CONFIG_X\nint h(void);\n#else\nstatic inline int h(void)\n{{\n\treturn 0;\n}}\n#endif\n",
        {b"h"},
    ),
    "a prototype that goes": ("int g(int x);\n", "", {b"g"}),
    "comments": (AFTER, f"/* why */\n{AFTER}", set()),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMED)
def test_a_change_that_reaches_objects_by_names(case: str) -> None:
    old, new, names = NAMED[case]
    assert HEADER.count(old) == 1
    found = header_change(HEADER.encode(), HEADER.replace(old, new).encode())
    assert found is not None
    assert found.names == names


OTHERS = {
    "a definition": (AFTER, f"{AFTER}int n;\n"),
    "a definition with a value": (AFTER, f"{AFTER}extern int n = 1;\n"),
    "a static function": (AFTER, f"{AFTER}static int h(void)\n{{\n\treturn 1;\n}}\n"),
    "a function that is kept": (AFTER, f"{AFTER}static inline __attribute__((used)) int h(void)\n{{\n\treturn 1;\n}}\n"),
    "a macro that may make anything": (AFTER, f"{AFTER}DEFINE_PER_CPU(int, n);\n"),
    "a macro behind a word": (AFTER, f"{AFTER}const DEFINE_LIST(n);\n"),
    "assembly": (AFTER, f'{AFTER}asm(".globl x");\n'),
    "a name in assembly": (AFTER, f'{AFTER}int h(void) asm("other");\n'),
    "a static assertion": (AFTER, f"{AFTER}_Static_assert(sizeof(struct s) == 4);\n".replace("(sizeof", " (sizeof")),
    "another header": (AFTER, f"{AFTER}#include <linux/list.h>\n"),
    "a pragma": (AFTER, f"{AFTER}#pragma pack(1)\n"),
    "a condition": (AFTER, f"#ifdef CONFIG_X\n{AFTER}#endif\n"),
    "half a condition": ("#ifndef H\n", "#if !defined(H)\n"),
    "another member": ("\tint a;\n", "\tint a;\n\tint b;\n"),
    "an enumerator in a type of another kind": ("\tint a;\n", "\tint a;\n\tHALF,\n"),
    "a line that ends an enumeration": ("\tFOUR\n};\n", "\tFOUR\n} more;\n"),
    "an enumerator of a variable": ("enum more {\n\tTHREE,\n\tFOUR\n};", "enum {\n\tA,\n\tB\n} b;"),
    "another prototype behind half a one": ("extern int e(void);", "extern int k(void), e(void);"),
    "an enumeration in a type": (AFTER, f"{AFTER}struct t {{ enum {{ A }} a; }};\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_a_change_that_may_reach_any_object(case: str) -> None:
    old, new = OTHERS[case]
    assert HEADER.count(old) == 1
    found = header_change(HEADER.encode(), HEADER.replace(old, new).encode())
    assert found is None


@pytest.mark.parametrize(
    ("name", "led_to"),
    [
        (b"LIMIT", {b"LOOKUP", b"f"}),
        (b"find", {b"LOOKUP"}),
        (b"nobody", set()),
        (b"a", None),
        (b"e", None),
    ],
)
def test_what_mentions_a_name_in_a_header(name: bytes, led_to: set[bytes] | None) -> None:
    found = leads_to(code_lines(HEADER.encode()), frozenset({name}))
    assert found == (None if led_to is None else frozenset(led_to))
