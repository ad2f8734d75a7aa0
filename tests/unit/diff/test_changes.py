# SPDX-License-Identifier: GPL-2.0-or-later
"""Which functions a patch changes, and which changes no live patch can make."""

from __future__ import annotations

import pytest

from suture.errors import Refusal
from tests.examples import shows
from tests.unit.toolchain import changed_names, changes, compile_c, output, tool

BASE = r"""
#define noinline __attribute__((noinline))
extern int outside(const char *, int);
extern int elsewhere(const char *, int);
static int counter = 5;
static int zero;
const int limits[4] = { 1, 2, 3, 4 };
static noinline int helper(int x) { return outside("helped", x + counter); }
noinline int first(int x) { return helper(x) + zero++ + limits[x & 3]; }
noinline int second(int x) { return outside("second", x) * 3; }
int third(int x) { return first(x) + second(x); }
void count(void) { counter++; }
"""


def refusal(original: str, patched: str, *options: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        changes(original, patched, *options)
    return refused.value


def select_refusal(original: str, patched: str, *options: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        output(original, patched, *options)
    return refused.value


def test_nothing_differs_between_equal_objects() -> None:
    assert changes(BASE, BASE).is_empty


def test_a_changed_comment_is_no_change() -> None:
    assert changes(BASE, BASE.replace("int third", "/* the third */ int third")).is_empty


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ('"second"', '"Second"', {"second"}),
        ('outside("second"', 'elsewhere("second"', {"second"}),
        ("* 3", "* 5", {"second"}),
        ("first(x) + second(x)", "first(x) + second(x + 1)", {"third"}),
        ("first(x) + second(x)", "second(x) + second(x)", {"third"}),
        ('"helped"', '"helped too"', {"helper"}),
        ("x + counter", "x + zero", {"helper"}),
        ("limits[x & 3]", "limits[x & 1]", {"first"}),
    ],
)
def test_exactly_the_changed_function_is_found(old: str, new: str, changed: set[str]) -> None:
    assert changed_names(changes(BASE, BASE.replace(old, new))) == changed


def test_strings_are_compared_by_content_not_by_place() -> None:
    patched = BASE.replace(
        "int third(int x) {", 'int third(int x) { outside("a new one before others", 1);'
    )
    assert changed_names(changes(BASE, patched)) == {"third"}


def test_a_reference_past_a_string_is_told_from_one_into_it() -> None:
    source = """extern int outside(const char *, int);
int f(int x) { return outside("abcdef" + 7, x) + outside("abcdef", x); }
"""
    assert changed_names(changes(source, source.replace("+ 7", "+ 6"))) == {"f"}
    assert changes(source, source).is_empty


def test_a_new_and_a_removed_function() -> None:
    new = 'static noinline int added(int x) { return outside("added", x); }\nnoinline int second'
    patched = BASE.replace("noinline int second", new, 1).replace("* 3", "* added(x)")
    assert changed_names(changes(BASE, patched)) == {"second"}
    assert changed_names(changes(patched, BASE)) == {"second"}


def test_a_new_global_function_is_provided_for_other_files() -> None:
    found = changes(BASE, BASE + "int added(int x) { return second(x); }\n")
    assert [unit.name for unit in found.provided] == ["added"]
    assert not found.changed


def test_clones_that_the_compiler_renames_are_the_same_function() -> None:
    clone = """
extern int outside(const char *, int);
static __attribute__((noinline)) int work(int x, const char *what) { return outside(what, x) + x; }
int user(int x) { return work(x, "one"); }
"""
    patched = clone.replace('work(x, "one")', 'work(x, "one") + work(x + 1, "two")')
    assert "work.constprop.0" in tool("nm", data=compile_c(clone))
    assert "constprop" not in tool("nm", data=compile_c(patched))
    found = changes(clone, patched)
    assert {(before.name, after.name) for before, after in found.changed} == {
        ("work.constprop.0", "work"),
        ("user", "user"),
    }


# --- parts that the compiler moves away

COLD = r"""
extern int outside(const char *, int);
extern __attribute__((cold)) void complain(const char *);
int entry(int x)
{
    if (__builtin_expect(x < 0, 0)) { complain("negative"); return outside("bad", x); }
    return outside("good", x);
}
"""


def test_a_change_in_the_cold_part_alone_changes_its_function() -> None:
    assert "entry.cold" in tool("nm", data=compile_c(COLD))
    assert changed_names(changes(COLD, COLD.replace('"negative"', '"below zero"'))) == {"entry"}


def test_a_cold_part_that_appears_or_vanishes_changes_its_function() -> None:
    without = COLD.replace('complain("negative"); ', "")
    assert ".cold" not in tool("nm", data=compile_c(without))
    assert changed_names(changes(without, COLD)) == {"entry"}
    assert changed_names(changes(COLD, without)) == {"entry"}


def test_the_cold_part_of_a_function_with_two_names() -> None:
    named = COLD + 'extern int also(int) __attribute__((alias("entry")));\n'
    found = changes(named, named.replace('"negative"', '"below zero"'))
    assert {frozenset((after.name, *after.aliases)) for _, after in found.changed} == {
        frozenset(("entry", "also"))
    }


# --- what cannot be reached


def test_ref_functions_stay_and_can_be_changed() -> None:
    ref = BASE.replace("int third", '__attribute__((section(".ref.text"))) int third')
    assert changed_names(changes(ref, ref.replace("first(x) +", "first(x) -"))) == {"third"}


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("counter = 5", "counter = 6", "counter"),
        ("static int zero;", "static int zero = 1;", "zero"),
        ("{ 1, 2, 3, 4 }", "{ 1, 2, 3, 5 }", "limits"),
        ("limits[4] = { 1, 2, 3, 4 }", "limits[5] = { 1, 2, 3, 4, 5 }", "limits"),
        ("const int limits", "int limits", "limits"),
    ],
)
def test_changed_initial_values_are_refused(old: str, new: str, name: str) -> None:
    refused = refusal(BASE, BASE.replace(old, new).replace("* 3", "* 5"))
    assert refused.code == "data-changed"
    assert name in refused.found


def test_a_changed_pointer_in_data_is_refused() -> None:
    table = BASE + 'int (*const table[])(int) = { first, second };\nconst char *text = "one";\n'
    assert (
        refusal(table, table.replace("{ first, second }", "{ first, third }")).code
        == "data-changed"
    )
    assert refusal(table, table.replace('"one"', '"two"')).code == "data-changed"
    added = "static int added(int x) { return x; }\nint (*const"
    patched = table.replace("int (*const", added).replace("{ first, second }", "{ first, added }")
    assert refusal(table, patched).code == "data-changed"


def test_every_section_of_one_name_is_compared() -> None:
    def twice(value: int) -> str:
        first = (
            f'asm(".pushsection hooks,\\"a\\",@progbits,unique,1\\n.long {value}\\n.popsection");\n'
        )
        return (
            first
            + 'asm(".pushsection hooks,\\"a\\",@progbits,unique,2\\n.long 7\\n.popsection");\n'
        )

    assert refusal(BASE + twice(1), BASE.replace("* 3", "* 5") + twice(2)).code == "section-changed"


def test_changed_code_that_no_symbol_names_is_refused() -> None:
    asm = 'asm(".pushsection .text.stub,\\"ax\\"\\nstub: mov $%d, %%eax\\nret\\n.popsection");\n'
    refused = refusal(BASE + asm % 1, BASE.replace("* 3", "* 5") + asm % 2)
    assert refused.code == "section-changed"


def test_functions_that_the_compiler_merges_are_refused() -> None:
    # GCC makes an alias of a function that nothing compares by address.
    apart = """
extern int outside(int);
static __attribute__((noinline)) int one(int x) { return outside(x) + outside(1); }
static __attribute__((noinline)) int two(int x) { return outside(x) + outside(2); }
int user(int x) { return one(x) + two(x); }
"""
    merged = apart.replace("outside(2)", "outside(1)")
    data = tool("nm", data=compile_c(merged))
    if " one\n" in data and " two\n" in data:
        shows(refusal(apart, merged), "functions-merged")
    else:
        assert changed_names(changes(apart, merged)) == {"user"}


def test_a_relocation_that_cannot_be_carried_is_refused() -> None:
    got = (
        BASE.replace("* 3", "* 5")
        + 'int seven(void) { asm("movq outside@GOTPCREL(%rip), %rax"); return 0; }\n'
    )
    assert select_refusal(BASE, got).code == "relocation-unsupported"


def test_common_symbols_are_refused() -> None:
    common = (
        "int shared;\nextern int outside(int);\nint user(int x) { return outside(shared + x); }\n"
    )
    refused = select_refusal(common, common.replace("+ x", "- x"), "-fcommon")
    assert refused.code == "symbol-unsupported"
    assert "shared" in refused.found


def test_thread_local_storage_is_refused() -> None:
    local = "static __thread int mine;\nextern int outside(int);\nint user(int x) { return outside(mine++ + x); }\n"
    assert select_refusal(local, local.replace("+ x", "- x")).code == "relocation-unsupported"


def test_comparison_is_the_same_both_ways() -> None:
    patched = BASE.replace("* 3", "* 5")
    forth = changed_names(changes(BASE, patched))
    assert forth == changed_names(changes(patched, BASE))


def test_a_type_id_is_known_by_its_place_not_by_the_line_in_its_name() -> None:
    """include/linux/btf_ids.h names an entry after its line, which any change above it moves."""

    def source(line: int, value: int) -> str:
        names = [
            f"__BTF_ID__struct__{name}__{line + n}"
            for n, name in enumerate(("sock", "sock", "skb"))
        ]
        entries = "".join(
            f".type {one}, @object\n.size {one}, 4\n{one}: .zero 4\n" for one in names
        )
        listed = "".join(f'"{line}\\n"' for line in entries.splitlines())
        return f"""
asm(".pushsection .BTF_ids,\\"a\\"\\n" "ids:\\n" {listed} ".popsection\\n");
extern unsigned ids[];
const struct proto {{ unsigned *id; }} proto = {{ &ids[1] }};
int work(int x) {{ return x + {value}; }}
"""

    found = changes(source(1021, 5), source(3022, 6))
    assert changed_names(found) == {"work"}
    assert (
        refusal(source(1021, 5), source(3022, 6).replace("&ids[1]", "&ids[2]")).code
        == "data-changed"
    )
