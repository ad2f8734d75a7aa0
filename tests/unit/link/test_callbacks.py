# SPDX-License-Identifier: GPL-2.0-or-later
"""The callbacks that call others, run as a program: in which order, and what is undone when one
refuses."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from suture.diff import hooks
from suture.diff.hooks import Stage
from suture.link import glue
from suture.link.callbacks import Hooked, with_callbacks
from suture.link.glue import Variable
from suture.model import VMLINUX, LivePatch
from tests.unit.link.test_data_callbacks import SHIM

PRE, POST, PRE_UN, POST_UN, LOAD, UNLOAD = hooks.KPATCH_STAGES
VARIABLE = Variable(VMLINUX, "number", 0, 4, "c0")
KINDS = ("pre_patch", "post_patch", "pre_unpatch", "post_unpatch")


def named(stage: Stage, name: str, source: str = "a.c", objname: str = VMLINUX) -> Hooked:
    return Hooked(objname, source, stage, name, f"h_{name}")


def run(tmp_path: Path, hooked: tuple[Hooked, ...], steps: str, *, data: bool = False) -> list[str]:
    """The names of the functions that ran.

    :param steps: in C; ``refusing`` may be set to the name of one, which then returns `code`.
    """
    variables = (VARIABLE,) if data else ()
    patch = with_callbacks(LivePatch("toy", ()), hooked, {VMLINUX} if data else ())
    text = re.sub(
        r"^#include .*$", "", glue.source(patch, "toy", variables, hooked), flags=re.MULTILINE
    )
    bodies = "".join(_body(one) for one in hooked)
    contents = (
        "const struct livepatch_contents c0 = { (u8 *)&number, (u8 *)&five, (u8 *)&six, all };"
        if data
        else ""
    )
    source = tmp_path / "toy.c"
    source.write_text(
        f"{SHIM}\nstatic const char *refusing = \"\"; static int code = -1;\n{text}\n"
        "static u32 number = 5; static const u32 five = 5, six = 6; static const u8 all[4] = { 255, 255, 255, 255 };\n"
        f"{contents}\n{bodies}\n#define OBJ (&livepatch_objects[0])\n#define MOD (&livepatch_objects[1])\n"
        f"int main(void) {{ (void)begin; (void)number; {steps}; return 0; }}"
    )  # fmt: skip
    command = ["gcc", "-O1", "-Wall", "-Werror", "-Wno-unused", "-fsanitize=undefined"]
    subprocess.run([*command, "-o", tmp_path / "toy", source], check=True)
    return subprocess.run(
        [tmp_path / "toy"], check=True, capture_output=True, text=True
    ).stdout.split()


def _body(one: Hooked) -> str:
    takes = "struct klp_object *obj" if one.stage.takes_object else "void"
    returns = f'return strcmp(refusing, "{one.function}") ? 0 : code;' if one.stage.fails else ""
    return f'{"int" if one.stage.fails else "void"} {one.symbol}({takes}) {{ printf("{one.function} "); {returns} }}\n'


ENABLE = 'printf("%d ", OBJ->callbacks.pre_patch(OBJ))'
ALL = f"{ENABLE}; OBJ->callbacks.post_patch(OBJ); OBJ->callbacks.pre_unpatch(OBJ); OBJ->callbacks.post_unpatch(OBJ)"

TWO_FILES = tuple(
    named(stage, f"{name}_{source[0]}", source)
    for source in ("a.c", "b.c")
    for stage, name in zip(
        (PRE, POST, PRE_UN, POST_UN), ("pre", "post", "preun", "postun"), strict=True
    )
)


def test_several_files_of_an_object_are_undone_in_the_opposite_order(tmp_path: Path) -> None:
    expected = "pre_a pre_b 0 post_a post_b preun_b preun_a postun_b postun_a"
    assert run(tmp_path, TWO_FILES, ALL) == expected.split()


@pytest.mark.parametrize("code", [-1, 1])
def test_the_second_refuses_and_the_first_is_undone(tmp_path: Path, code: int) -> None:
    """A positive number would be success to whoever loads a module."""
    said = run(tmp_path, TWO_FILES, f'refusing = "pre_b"; code = {code}; {ENABLE}')
    assert said == ["pre_a", "pre_b", "postun_a", "-1" if code < 0 else "-22"]


def test_data_is_written_before_any_of_them_and_put_back_after(tmp_path: Path) -> None:
    hooked = TWO_FILES[:4]
    show = 'printf("%u ", number)'
    assert run(
        tmp_path, hooked, f"{ENABLE}; {show}; OBJ->callbacks.post_unpatch(OBJ); {show}", data=True
    ) == [*("pre_a", "0", "6", "postun_a", "5")]
    assert run(tmp_path, hooked, f'refusing = "pre_a"; {ENABLE}; {show}', data=True) == [
        "pre_a",
        "-1",
        "5",
    ]


def test_old_hooks_take_nothing_and_never_refuse(tmp_path: Path) -> None:
    hooked = (named(LOAD, "one"), named(LOAD, "two"), named(UNLOAD, "gone"))
    assert run(tmp_path, hooked, f"{ENABLE}; OBJ->callbacks.post_unpatch(OBJ)") == [
        "one",
        "two",
        "0",
        "gone",
    ]


KSPLICE = tuple(
    named(stage, f"{stage.section.removeprefix('.ksplice_call_')}_{source[0]}", source)
    for source in ("a.c", "b.c")
    for stage in hooks.KSPLICE_STAGES
    if stage not in (hooks.PRE_REVERSE, hooks.CHECK_REVERSE, hooks.FAIL_REVERSE)
)


def test_ksplices_stages_are_called_over_all_files(tmp_path: Path) -> None:
    steps = f"{ENABLE}; OBJ->callbacks.post_patch(OBJ); OBJ->callbacks.post_unpatch(OBJ)"
    before = [
        "pre_apply_a",
        "pre_apply_b",
        "check_apply_a",
        "check_apply_b",
        "apply_a",
        "apply_b",
        "0",
    ]
    after = [
        "post_apply_a",
        "post_apply_b",
        "reverse_a",
        "reverse_b",
        "post_reverse_a",
        "post_reverse_b",
    ]
    assert run(tmp_path, KSPLICE, steps) == before + after


def test_where_one_of_ksplices_checks_refuses_nothing_has_been_applied(tmp_path: Path) -> None:
    before = named(PRE, "pre", "0.c"), named(POST_UN, "postun", "0.c")
    said = run(tmp_path, (*before, *KSPLICE), f'refusing = "check_apply_b"; {ENABLE}')
    expected = "pre pre_apply_a pre_apply_b check_apply_a check_apply_b fail_apply_a fail_apply_b postun -1"
    assert said == expected.split()


def test_each_object_has_its_own(tmp_path: Path) -> None:
    hooked = (named(PRE, "inside", objname="mod"), named(PRE, "core"))
    steps = f'{ENABLE}; printf("%s ", MOD->name); MOD->callbacks.pre_patch(MOD)'
    assert run(tmp_path, hooked, steps) == ["core", "0", "mod", "inside"]


def test_one_alone_that_cannot_refuse_is_called_by_the_core_itself() -> None:
    patch = with_callbacks(LivePatch("toy", ()), (named(POST, "post"), named(PRE, "pre")), ())
    assert [callback.function for callback in patch.objects[0].callbacks] == [
        "livepatch_pre_patch_0",
        "h_post",
    ]
