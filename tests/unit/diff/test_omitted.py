# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch goes without, with the reason, beside the code that it replaces."""

from __future__ import annotations

import pytest

from suture.diff.changes import Changes
from suture.diff.plan import FilePlan
from suture.errors import Kind, Refusal
from tests.unit.toolchain import changed_names, changes, output, symbol_lines

BASE = """
#define INIT(what) __attribute__((section(".init." #what), noinline))
#define EXIT(what) __attribute__((section(".exit." #what), no_instrument_function))
#define IN(name) __attribute__((section(name), used))
extern int outside(const char *, int);
int work(int x) { return outside("work", x) * 3; }
"""
MENDED = ("* 3", "* 5")


def left(found: Changes) -> set[tuple[str, str]]:
    return {(part.what, part.section) for part in found.left_out}


def beside_real_code(text: str, old: str, new: str) -> Changes:
    """What comes of a change beside one to `work`."""
    before = BASE + text
    after = before.replace(*MENDED).replace(old, new)
    assert after.count(new) >= 1
    found = changes(before, after)
    assert changed_names(found) == {"work"}
    return found


INIT_FUNCTION = 'INIT(text) int setup(void) { return outside("up", 1); }\n'
EXIT_FUNCTION = 'EXIT(text) int teardown(void) { return outside("down", 1); }\n'


@pytest.mark.parametrize(
    ("text", "old", "new", "what", "section", "code"),
    [
        (INIT_FUNCTION, '"up"', '"set up"', "setup()", ".init.text", "init-function-changed"),
        (EXIT_FUNCTION, '"down"', '"go"', "teardown()", ".exit.text", "exit-function-changed"),
        (
            "INIT(data) int count = 1;\n",
            "= 1",
            "= 2",
            "the changed variable count",
            ".init.data",
            "data-changed",
        ),
        (
            "EXIT(data) int count = 1;\n",
            "= 1",
            "= 2",
            "the changed variable count",
            ".exit.data",
            "data-changed",
        ),
        (
            "",
            "int work",
            "INIT(data) int neu = 7; int work",
            "the new variable neu",
            ".init.data",
            "data-changed",
        ),
    ],
)
def test_what_runs_once_is_left_out_beside_real_code(
    text: str, old: str, new: str, what: str, section: str, code: str
) -> None:
    found = beside_real_code(
        text.replace("EXIT(data)", "IN('.exit.data')").replace("'", '"'), old, new
    )
    assert left(found) == {(what, section)}
    assert found.left_out[0].reason.kind.code == code


def test_only_the_real_code_is_copied() -> None:
    before = BASE + INIT_FUNCTION
    out = output(before, before.replace(*MENDED).replace('"up"', '"set up"'))
    assert "work" in symbol_lines(out.obj)
    assert "setup" not in symbol_lines(out.obj)


def test_an_init_function_alone_needs_no_code() -> None:
    found = changes(BASE + INIT_FUNCTION, BASE + INIT_FUNCTION.replace('"up"', '"set up"'))
    assert not FilePlan.of(found).needs_code
    assert left(found) == {("setup()", ".init.text")}


def test_the_reason_tells_the_core_kernel_from_a_module() -> None:
    part = beside_real_code(INIT_FUNCTION, '"up"', '"set up"').left_out[0]
    core, module = part.for_user("a.c", "vmlinux"), part.for_user("a.c", "loop")
    assert "once at boot" in core.why
    assert "loaded after the live patch" in module.why
    assert str(core).startswith("a.c: setup() in .init.text is left out: ")


def test_a_new_global_init_function_is_not_brought_along() -> None:
    found = beside_real_code(
        "", "int work", 'INIT(text) int neu(void) { return outside("n", 1); }\nint work'
    )
    assert found.provided == ()


def test_a_new_exit_function_does_not_become_the_live_patchs_own() -> None:
    hook = 'void bye(void) { outside("bye", 1); }\nvoid cleanup_module(void) __attribute__((alias("bye")));\nint work'
    found = beside_real_code("", "int work", hook)
    assert found.provided == ()


def test_a_function_that_becomes_init_is_left_out() -> None:
    text = 'int setup(void) { return outside("up", 1); }\n'
    found = beside_real_code(text, "int setup", "INIT(text) int setup")
    assert left(found) == {("setup()", ".init.text")}


def test_a_function_that_is_init_no_more_is_new_and_its_callers_get_it() -> None:
    """A fix for code that calls an __init function after boot: the old function's memory is
    gone."""
    text = """
INIT(text) static int setup(int x) { return outside("up", x); }
int again(int x) { return setup(x) + 1; }
"""
    before = BASE + text
    after = before.replace(
        "INIT(text) static int setup", "__attribute__((noinline)) static int setup"
    )
    assert changed_names(changes(before, after)) == {"again"}
    out = output(before, after)
    assert symbol_lines(out.obj)["setup"][2] == "FUNC"
    assert out.new == ("setup",)


def test_a_variable_that_is_init_no_more_is_new() -> None:
    text = (
        "INIT(data) static int level = 4;\nint again(int x) { return outside(0, x + level++); }\n"
    )
    text = text.replace(", noinline", "")
    before = BASE.replace(", noinline", "") + text
    after = before.replace("INIT(data) static int level", "static int level")
    out = output(before, after)
    assert changed_names(changes(before, after)) == {"again"}
    assert symbol_lines(out.obj)["level"][2] == "OBJECT"


def test_ref_data_is_a_variable_like_others() -> None:
    with pytest.raises(Refusal) as refused:
        beside_real_code('IN(".ref.data") int count = 1;\n', "= 1", "= 2")
    assert refused.value.code == "data-changed"


# --- lists that the kernel reads

PARAM = 'static const int __param_{name} IN("__param") = {value};\n'
ONE, TWO = PARAM.format(name="one", value=1), PARAM.format(name="two", value=2)


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("", ONE, "the new parameter one"),
        (ONE, "", "the removed parameter one"),
        (ONE, ONE + TWO, "the new parameter two"),
    ],
)
def test_parameters_that_come_and_go_are_left_out(before: str, after: str, what: str) -> None:
    found = changes(BASE + before, BASE.replace(*MENDED) + after)
    assert left(found) == {(what, "__param")}


def test_a_changed_parameter_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        beside_real_code(ONE, "= 1", "= 2")
    assert refused.value.code == "data-changed"
    assert "the changed parameter one" in refused.value.found


LINES = 'static const char a[] IN(".modinfo") = "author=Someone";\n'


def test_module_information_is_left_out_line_by_line() -> None:
    found = beside_real_code(LINES, "Someone", "Someone Else")
    assert left(found) == {
        ("the removed line author=Someone", ".modinfo"),
        ("the new line author=Someone Else", ".modinfo"),
    }


def entry(section: str, flags: str, function: str) -> str:
    return f'asm(".pushsection {section},\\"{flags}\\"\\n.long {function} - .\\n.popsection");\n'


@pytest.mark.parametrize(
    "section", [".initcall6.init", "___ksymtab+work", ".export_symbol", ".init.setup"]
)
def test_new_entries_are_named_by_what_they_refer_to(section: str) -> None:
    found = beside_real_code("", "int work", entry(section, "a", "work") + "int work")
    assert [(part.what.split()[-1], part.section) for part in found.left_out] == [("work", section)]


@pytest.mark.parametrize(
    ("section", "code"),
    [
        ("__tracepoints", "tracepoint-changed"),
        ("_ftrace_events", "tracepoint-changed"),
        (".pci_fixup_final", "section-changed"),
        ("___srcu_struct_ptrs", "section-changed"),
        ("__something_of_table", "section-changed"),
    ],
)
def test_entries_that_have_to_take_effect_are_refused_by_name(section: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        beside_real_code("", "int work", f'const long neu IN("{section}") = 1;\nint work')
    assert refused.value.code == code
    assert f"neu is in section {section}" in refused.value.found


def test_every_row_says_what_is_to_happen() -> None:
    from suture.diff.sections import TABLE

    assert len({row.prefix for row in TABLE}) == len(TABLE)
    for row in TABLE:
        for how in ("new", "removed", "changed"):
            verdict = row.verdict(how)
            assert isinstance(verdict, Kind) or (verdict.core and verdict.module)
