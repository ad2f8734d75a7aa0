# SPDX-License-Identifier: GPL-2.0-or-later
"""Layouts before and after a patch, of small files that the compiler describes with BTF."""

from __future__ import annotations

import pytest

from suture.builder.types import compare_types
from suture.elf import reader
from suture.errors import Finding, Level
from suture.workspace.applying import Changed
from suture.workspace.typed import TYPES, changing_types
from tests.unit.toolchain import compile_c

HEAD = "typedef unsigned long u64; typedef struct { int raw; } spinlock_t; struct other;\n"
BASE = """\
struct part { int first; };
struct item {
	u64 count;
	char small;
	int *pointer;
	struct part part;
	unsigned int low:3;
	unsigned int high:5;
	union { u64 number; void *data; };
};
enum state { NONE, BUSY, LAST };
int shared[4];
typedef struct {
	int kept;
} node;
static node nodes[2];
static struct item *all;
struct item *first(struct item *item)
{
	item->count++;
	return all;
}
"""


def findings(after: str, before: str = BASE) -> list[Finding]:
    """Compare a file with what an edit makes of it."""
    old, new = HEAD + before, HEAD + after
    assert old != new
    sides = [reader.read(compile_c(text, *TYPES), "a.c") for text in (old, new)]
    change = Changed("fs/a.c", old.encode(), new.encode())
    found = list(compare_types("fs/a.c", sides[0], sides[1], [change], lambda _: None))
    assert not found or changing_types([change]), "it would not have been compiled with types"
    return found


def edited(old: str, new: str) -> str:
    assert BASE.count(old) == 1
    return BASE.replace(old, new)


REFUSED = {
    "a member before others": (edited("\tu64 count;", "\tint a;\n\tu64 count;"), "item", "+0"),
    "a member behind all": (edited("void *data; };", "void *data; };\n\tu64 a;"), "item", "grows"),
    "a member goes": (edited("\tu64 count;\n", "").replace("item->count++;", ""), "item", "shrinks"),
    "members change places": (edited("\tint *pointer;", "").replace("\tu64 c", "\tint *pointer;\n\tu64 c"), "item", "moves"),
    "a number becomes wider": (edited("\tchar small;", "\tint small;"), "item", "small"),
    "a number becomes a pointer": (edited("\tu64 count;", "\tint *count;"), "item", "count"),
    "a pointer to something else": (edited("int *pointer", "struct other *pointer"), "item", "other"),
    "a bit field": (edited("low:3", "low:4").replace("high:5", "high:4"), "item", "low"),
    "a structure within": (edited("int first;", "int first, second;"), "part", "second"),
    "a structure that a typedef names": (edited("int kept;", "int kept, more;"), "node", "more"),
    "a lock in a hole": (edited("\tchar small;", "\tchar small;\n\tspinlock_t lock;"), "item", "lock"),
    "an enumerator in the middle": (edited("NONE, ", "NONE, NEW, "), "BUSY", "BUSY was 1"),
    "a variable of another type": (edited("int shared[4]", "short shared[8]"), "shared", "2 bytes[8]"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_layout_that_objects_in_memory_may_have_is_refused(case: str) -> None:
    after, name, word = REFUSED[case]
    (found,) = findings(after)
    assert (found.kind.code, found.name, found.level) == ("layout-changed", name, Level.REFUSE)
    assert word in found.found
    assert found.where.startswith("fs/a.c:")


SILENT = {
    "a new type": BASE + "struct new { u64 a; }; static struct new *made; int g(void) { return !made; }\n",
    "an enumerator before the count": edited("BUSY, LAST", "BUSY, DONE, LAST"),
    "an enumerator at the end": edited("BUSY, LAST", "BUSY, LAST, DONE"),
    "a member of another sign": edited("\tchar small;", "\tunsigned char small;"),
    "one more way to read a union": edited("void *data; };", "void *data; int *where; };"),
    "a member of another name": edited("u64 count;", "u64 amount;").replace("->count", "->amount"),
    "an unnamed structure around members": edited("\tchar small;", "\tstruct { char small; };"),
    "a void pointer": edited("int *pointer", "void *pointer"),
    "a function": BASE + "static int twice(int x) { return 2 * x; }\nint g(int x) { return twice(x); }\n",
}  # fmt: skip


@pytest.mark.parametrize("case", SILENT)
def test_what_no_object_can_have_is_silent(case: str) -> None:
    assert findings(SILENT[case]) == []


def test_a_number_in_a_hole_is_a_warning() -> None:
    (found,) = findings(edited("\tchar small;", "\tchar small;\n\tint seen;"))
    assert (found.level, found.name) == (Level.WARN, "item")
    assert "hole" in found.found


def test_the_structure_to_mend_is_named_and_what_contains_it_is_evidence() -> None:
    (found,) = findings(edited("int first;", "int first, second;"))
    assert "it is part of struct item" in found.evidence
    assert found.remedy is not None
    assert "klp_shadow_get_or_alloc" in found.remedy


def test_a_member_of_its_own_is_reported_beside_what_a_structure_contains() -> None:
    """Whoever accepts the one has not judged the other."""
    both = edited("int first;", "int first, second;").replace(
        "\tu64 count;", "\tint a;\n\tu64 count;"
    )
    assert {one.name for one in findings(both)} == {"part", "item"}


def test_the_functions_that_use_a_new_member_are_named() -> None:
    after = edited("void *data; };", "void *data; };\n\tint seen;")
    (found,) = findings(after.replace("count++", "seen++"))
    assert "used by first() in fs/a.c:22" in found.evidence
    assert "int *seen = klp_shadow_get_or_alloc" in (found.remedy or "")


def in_functions(*members: str) -> str:
    """A file in which each function has a structure of one name, and a pointer that stays."""
    return "".join(
        f"int walk{number}(int a)\n{{\n\tstruct step {{ {one} }};\n\tstatic struct step *kept;\n\n"
        f"\tkept->first = a;\n\treturn kept->first;\n}}\n"
        for number, one in enumerate(members)
    )


ONE, TWO, THREE = "int first;", "int first, second;", "int first; u64 third;"
OTHER = "int first; char other;"


def compared(old: str, new: str) -> list[tuple[str, Level, str]]:
    sides = [reader.read(compile_c(HEAD + text, *TYPES), "a.c") for text in (old, new)]
    change = Changed("fs/a.c", old.encode(), new.encode())
    found = compare_types("fs/a.c", sides[0], sides[1], [change], lambda _: None)
    return [(one.name, one.level, one.found) for one in found]


def test_of_structures_with_one_name_the_one_that_changed_is_compared() -> None:
    for before, after in (
        (in_functions(ONE, TWO), in_functions(ONE, THREE)),
        (in_functions(ONE, TWO), in_functions(THREE, TWO)),
        (in_functions(ONE, ONE), in_functions(ONE, THREE)),
    ):
        ((name, level, text),) = compared(before, after)
        assert (name, level) == ("step", Level.REFUSE)
        assert text.startswith("struct step grows from ")


def test_structures_with_one_name_in_another_order_or_number_are_silent() -> None:
    for before, after in (
        (in_functions(ONE, TWO), in_functions(TWO, ONE)),
        (in_functions(ONE, TWO), in_functions(ONE, TWO, THREE)),
        (in_functions(ONE, TWO, THREE), in_functions(TWO, ONE)),
    ):
        assert compared(before, after) == []


def test_structures_with_one_name_are_refused_where_several_change() -> None:
    ((name, level, text),) = compared(in_functions(ONE, TWO), in_functions(THREE, OTHER))
    assert (name, level) == ("step", Level.REFUSE)
    assert "2 of this name change into 2" in text
