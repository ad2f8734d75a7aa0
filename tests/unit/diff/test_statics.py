# SPDX-License-Identifier: GPL-2.0-or-later
"""Static local variables: the kernel's own is referred to, and what is in doubt is refused."""

from __future__ import annotations

import cProfile
import pstats
import re

import pytest

from suture.diff.correlate import correlate
from suture.elf import writer
from suture.errors import Refusal
from suture.objects.locals import base, is_numbered, is_private
from suture.objects.view import View
from tests.examples import shows
from tests.unit.toolchain import (
    Anything,
    assemble,
    changed_names,
    changes,
    compile_c,
    output,
    read,
    select_with,
    symbol_lines,
    tool,
)

TWO = r"""
extern int outside(int);
int one(int x) { static int count; return outside(count += x); }
int two(int x) { static int count; return outside(count -= x); }
"""


def asked(original: str, patched: str) -> list[str]:
    """The variables that changed code uses of the original's."""
    resolver = Anything()
    select_with(changes(original, patched), resolver)
    return sorted({name for name in resolver.defined_asked if base(name) == "count"})


def variable_of(source: str, function: str) -> str:
    """The numbered name that objdump sees a function use."""
    text = tool("objdump", "-dr", f"--disassemble={function}", data=compile_c(source))
    return next(
        word.split(".bss.")[1].split("-")[0].split("+")[0]
        for word in text.split()
        if ".bss.count" in word
    )


def test_renumbered_statics_are_told_apart_by_their_users() -> None:
    new = "int zero(int x) { static int count; return outside(count ^= x); }\nint one"
    patched = TWO.replace("int one", new, 1).replace("count -= x", "count -= x + 1")
    assert changed_names(changes(TWO, patched)) == {"two"}
    assert asked(TWO, patched) == [variable_of(TWO, "two")]


def test_a_renumbered_static_alone_is_no_change() -> None:
    new = "int zero(int x) { static int count; return outside(count ^= x); }\nint one"
    found = changes(TWO, TWO.replace("int one", new, 1))
    assert not found.changed
    assert [unit.name for unit in found.provided] == ["zero"]


def test_a_new_static_is_copied_and_the_old_one_is_not() -> None:
    patched = TWO.replace(
        "return outside(count -= x)", "static int calls; return outside(++calls + (count -= x))"
    )
    out = output(TWO, patched)
    defined = tool("nm", "--defined-only", data=writer.write(out.obj))
    assert " calls." in defined
    assert " count." not in defined


def test_one_more_static_of_the_same_name_in_the_same_function_is_refused() -> None:
    patched = TWO.replace(
        "return outside(count -= x)", "{ static int count; count += x; } return outside(count -= x)"
    )
    with pytest.raises(Refusal) as refused:
        changes(TWO, patched)
    shows(refused.value, "ambiguous-local")
    assert "count" in refused.value.found


def test_a_static_that_moves_to_another_function_is_refused() -> None:
    """It may be the same or a new one."""
    moved = """
extern int outside(int);
static __attribute__((noinline)) int helper(int x) { static int count; return outside(count -= x); }
int one(int x) { static int count; return outside(count += x); }
int two(int x) { return helper(x); }
"""
    with pytest.raises(Refusal) as refused:
        changes(TWO, moved)
    assert refused.value.code == "ambiguous-local"


CONSTANTS = """
extern int outside(const int *);
int one(int x) { static const int count[2] = { 1, 2 }; return outside(count) + x; }
int two(int x) { return outside(0) - x; }
"""


def test_a_constant_that_moves_to_another_function_has_no_state_to_lose() -> None:
    """drivers/char/tpm/tpm_i2c_nuvoton.c: vid_did_rid_value."""
    moved = CONSTANTS.replace(
        "static const int count[2] = { 1, 2 }; return outside(count)", "return outside(0)"
    )
    moved = moved.replace(
        "return outside(0) - x", "static const int count[2] = { 1, 2 }; return outside(count) - x"
    )
    found = changes(CONSTANTS, moved)
    assert changed_names(found) == {"one", "two"}
    defined = tool("nm", "--defined-only", data=writer.write(output(CONSTANTS, moved).obj))
    assert re.search(r" r count\.\d+", defined)


def test_one_more_constant_of_the_same_name_in_the_same_function_is_new() -> None:
    more = CONSTANTS.replace(
        "+ x",
        "+ x; }\nint three(int x) { static const int count[2] = { 3, 4 }; return outside(count)",
    )
    inner = CONSTANTS.replace(
        "+ x", "+ ({ static const int count[2] = { 3, 4 }; outside(count); })"
    )
    assert changed_names(changes(CONSTANTS, more)) == set()
    assert changed_names(changes(CONSTANTS, inner)) == {"one"}


def test_a_static_that_changes_size_is_refused() -> None:
    patched = TWO.replace(
        "int count; return outside(count -=", "long count; return outside(count -="
    )
    with pytest.raises(Refusal) as refused:
        changes(TWO, patched)
    assert refused.value.code == "ambiguous-local"


def test_a_changed_initial_value_of_a_static_local_is_refused() -> None:
    valued = TWO.replace("static int count", "static int count = 3")
    with pytest.raises(Refusal) as refused:
        changes(
            valued,
            valued.replace(
                "count = 3; return outside(count -=", "count = 4; return outside(count -="
            ),
        )
    assert refused.value.code == "data-changed"


def test_a_static_used_through_another_is_found() -> None:
    tables = r"""
extern int outside(const int **);
int user(int x)
{
    static int values[2] = { 7, 8 };
    static const int *table[2] = { &values[1], &values[0] };
    return outside(table) + x;
}
int other(int x) { static int values[2] = { 7, 8 }; static const int *table[2] = { values }; return outside(table); }
"""
    found = changes(tables, tables.replace("+ x", "- x"))
    assert changed_names(found) == {"user"}
    numbered = [
        unit for unit in found.patched.view.units if unit.name.startswith(("values.", "table."))
    ]
    assert len(numbered) == 4
    assert all(unit in found.correlation.original for unit in numbered)


ONCE = r"""
extern int outside(const char *, int);
int one(int x)
{
    static _Bool __attribute__((section(".data.once"))) __already_done;
    if (x && !__already_done) { __already_done = 1; outside(__func__, x); }
    return outside("one", x);
}
int two(int x)
{
    static _Bool __attribute__((section(".data.once"))) __already_done;
    if (x && !__already_done) { __already_done = 1; outside(__func__, x); }
    return outside("two", x);
}
"""


def test_what_macros_make_is_copied_with_its_user_and_does_not_confuse() -> None:
    patched = ONCE.replace('return outside("two", x)', 'return outside("two", x + 1)')
    assert changed_names(changes(ONCE, patched)) == {"two"}
    out = output(ONCE, patched)
    defined = [symbol.name for symbol in out.obj.symbols if symbol.is_defined_here and symbol.name]
    assert sorted(base(name) for name in defined) == ["__already_done", "__func__", "two"]
    assert b"two\0" in b"".join(section.data for section in out.obj.sections)


def test_a_new_warning_before_others_changes_only_its_function() -> None:
    warned = """int zero(int x)
{
    static _Bool __attribute__((section(".data.once"))) __already_done;
    if (x && !__already_done) { __already_done = 1; outside(__func__, x); }
    return x;
}
int one"""
    found = changes(ONCE, ONCE.replace("int one", warned, 1))
    assert not found.changed


@pytest.mark.parametrize(
    ("name", "section", "writable", "private"),
    [
        ("__func__.12", ".rodata.__func__.12", False, True),
        ("__already_done.3", ".data.once", True, True),
        ("__key.7", ".bss.__key.7", True, True),
        ("C.0.4", ".rodata.C.0.4", False, True),
        ("CSWTCH.9", ".rodata.CSWTCH.9", False, True),
        ("__UNIQUE_ID_ddebug123", "__dyndbg", True, True),
        ("__UNIQUE_ID_ddebug123.4", "__dyndbg", True, True),
        ("__UNIQUE_ID_ddebug_123.4", "__dyndbg", True, True),
        ("descriptor.4", "__dyndbg", True, True),
        # An author's own names, which hold state.
        ("descriptor.4", ".data.descriptor.4", True, False),
        ("__compound_literal.0", ".data.__compound_literal.0", True, False),
        ("C", ".data.C", True, False),
        ("count.1", ".bss.count.1", True, False),
    ],
)
def test_which_variables_are_private(
    name: str, section: str, writable: bool, private: bool
) -> None:
    assert is_private(name, section, writable) == private


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("foo", "foo"),
        ("foo.12", "foo"),
        ("foo.isra.0", "foo"),
        ("foo.constprop.0.isra.1.cold", "foo"),
        ("foo.part.0.cold", "foo"),
        ("__UNIQUE_ID_ddebug345", "__UNIQUE_ID_ddebug"),
        ("__UNIQUE_ID_ddebug345.6", "__UNIQUE_ID_ddebug"),
        ("__UNIQUE_ID_ddebug_345.6", "__UNIQUE_ID_ddebug"),
        ("a.b", "a.b"),
    ],
)
def test_names_without_what_the_compiler_added(name: str, written: str) -> None:
    assert base(name) == written
    assert is_numbered(name) == (name != written)


STATE = {
    "___done": "DO_ONCE: what it was done for is done (include/linux/once.h)",
    "___once_key": "its static key, which the kernel has switched off by then",
    "__print_once": "a printk_once() written by hand (until 5.14)",
    "count": "any other",
}


@pytest.mark.parametrize("name", STATE)
def test_state_that_must_not_begin_anew_is_shared(name: str) -> None:
    text = f"extern int outside(int);\nint work(int x) {{ static int {name}; return outside({name} += x); }}\n"
    out = output(text, text.replace("+= x", "-= x"))
    symbols = symbol_lines(out.obj)
    assert [symbol for symbol in symbols if symbol.startswith(f"{name}.")] == []
    assert any(
        symbol.startswith(f"kernel_{name}.") and columns[5] == "UND"
        for symbol, columns in symbols.items()
    )


def chain(count: int) -> str:
    """A function that uses the first of static locals, each of which points to the next."""
    links = "".join(
        f".type link{n}.{n}, @object\n.size link{n}.{n}, 8\nlink{n}.{n}: .quad link{n + 1}.{n + 1}\n"
        for n in range(count)
    )
    return (
        '.section .text.work,"ax",@progbits\n.type work, @function\n.size work, 8\nwork: mov link0.0, %rax\n'
        f".data\n{links}link{count}.{count}: .quad 0\n"
    )


def calls(count: int) -> int:
    data = assemble(chain(count))
    views = [View(read(data)) for _ in range(2)]
    profile = cProfile.Profile()
    found = profile.runcall(correlate, *views)
    names = {unit.name for unit in found.original}
    assert {"work", "link0.0", f"link{count - 1}.{count - 1}"} <= names
    return int(vars(pstats.Stats(profile))["total_calls"])


def test_a_long_chain_of_data_does_not_cost_more_for_every_link() -> None:
    few, many = calls(50), calls(400)
    assert many / 400 <= 1.5 * few / 50
