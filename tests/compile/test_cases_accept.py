# SPDX-License-Identifier: GPL-2.0-or-later
"""Dangers that the author accepts: what was refused is built, and the module says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import suture
from suture.builder.inputs import Choices
from suture.errors import Acceptance, Refusal
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.compile.test_bad_modules import kgraft, livepatch
from tests.compile.test_bad_patch import STRICT
from tests.compile.test_cases_boot import OTHER_ARGUMENTS
from tests.compile.test_cases_kfuncs import NEW_PROTOTYPES
from tests.patches import Edit, diff

pytestmark = pytest.mark.make_test_takes("6.1")

BECAUSE = "tried on these hosts"

SOURCE_DIFFS = {
    "prototype-changed:loop_add": OTHER_ARGUMENTS["one more behind"],
    "kfunc-prototype-changed:bpf_ct_change_status": [NEW_PROTOTYPES["bpf_ct_change_status()"]],
    "exported-prototype-changed:digsig_verify": [*STRICT],
}


def accepting(subject: str) -> Choices:
    code, _, name = subject.partition(":")
    return Choices(accepted=(Acceptance(code, name, BECAUSE),))


def built(path: Path, target: Target, subject: str) -> None:
    """Build twice: refused by the name to accept it by, then with the author's word in the
    module."""
    with pytest.raises(Refusal) as refused:
        suture.build([path], target)
    assert f"--accept {subject} --because" in refused.value.remedy
    artifact = suture.build([path], target, choices=accepting(subject))
    (kept,) = suture.inspect(artifact).patch.findings
    assert (f"{kept.code}:{kept.name}", kept.because) == (subject, BECAUSE)
    assert artifact.patch.findings == (kept,)


@pytest.mark.parametrize("subject", SOURCE_DIFFS)
def test_another_prototype_is_built_where_the_author_accepts_it(
    subject: str, each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    patch = tmp_path / "case.patch"
    patch.write_text(diff(each_workspace.tree, *SOURCE_DIFFS[subject]))
    built(patch, each_target, subject)


IDLE = "idle-function-replaced:cpu_startup_entry"
STARTUP = '#include <linux/cpuhotplug.h>\nstatic void show(enum cpuhp_state state)\n{\n\tpr_info("%d\\n", state);\n}\n'
MODULES: dict[str, Callable[[], str]] = {
    "kgraft": lambda: kgraft("KGR_PATCH(cpu_startup_entry, show),", show=STARTUP),
    "livepatch": lambda: livepatch(
        '{ .old_name = "cpu_startup_entry", .new_func = show },', show=STARTUP
    ),
}


@pytest.mark.parametrize("dialect", MODULES)
def test_an_idle_function_in_an_authors_module_is_refused_or_accepted(
    dialect: str, each_target: Target, tmp_path: Path
) -> None:
    source = tmp_path / "fix.c"
    source.write_text(MODULES[dialect]())
    built(source, each_target, IDLE)
    with pytest.raises(Refusal) as refused:
        suture.build([source], each_target, choices=accepting("idle-function-replaced:do_idle"))
    assert refused.value.code == "idle-function-replaced"


IDLE_FUNCTIONS = {
    "do_idle": "void show(void)",
    "call_cpuidle": "int show(struct cpuidle_driver *driver, struct cpuidle_device *device, int next)",
    "play_idle_precise": "void show(u64 duration_ns, u64 latency_ns)",
    "native_play_dead": "void show(void)",
}


@pytest.mark.parametrize("function", IDLE_FUNCTIONS)
@pytest.mark.parametrize("dialect", ["kgraft", "livepatch"])
def test_each_function_of_idle_processors_is_refused_in_an_authors_module(
    dialect: str, function: str, each_target: Target, tmp_path: Path
) -> None:
    source = tmp_path / "fix.c"
    source.write_text(replacing(dialect, function, IDLE_FUNCTIONS[function]))
    with pytest.raises(Refusal) as refused:
        suture.build([source], each_target)
    assert refused.value.code == "idle-function-replaced"
    assert f"--accept idle-function-replaced:{function} " in refused.value.remedy


@pytest.mark.parametrize("dialect", ["kgraft", "livepatch"])
def test_a_function_from_which_the_idle_loop_returns_is_replaced_by_an_authors_module(
    dialect: str, each_target: Target, tmp_path: Path
) -> None:
    source = tmp_path / "fix.c"
    source.write_text(replacing(dialect, "tick_nohz_idle_enter", "void show(void)"))
    artifact = suture.build([source], each_target)
    assert artifact.findings == ()
    assert "tick_nohz_idle_enter" in {one.old_name for _, one in artifact.patch.each_function()}


def replacing(dialect: str, function: str, declared: str) -> str:
    """An author's module whose one new function only counts its calls."""
    result = "\treturn 0;\n" if declared.startswith("int") else ""
    show = (
        "#include <linux/cpuidle.h>\nstatic unsigned long calls;\n"
        f"static {declared}\n{{\n\tWRITE_ONCE(calls, calls + 1);\n{result}}}\n"
    )
    if dialect == "kgraft":
        return kgraft(f"KGR_PATCH({function}, show),", show=show)
    return livepatch(f'{{ .old_name = "{function}", .new_func = show }},', show=show)


def test_an_acceptance_that_no_module_needs_is_refused(target: Target, tmp_path: Path) -> None:
    source = tmp_path / "fix.c"
    source.write_text(livepatch())
    with pytest.raises(Refusal) as refused:
        suture.build([source], target, choices=accepting(IDLE))
    assert refused.value.code == "accepted-not-found"


def test_an_idle_function_beside_other_inputs_is_refused_or_accepted(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    source, patch = tmp_path / "fix.c", tmp_path / "fix.patch"
    source.write_text(MODULES["livepatch"]())
    head = "static int cmdline_proc_show(struct seq_file *m, void *v)\n{\n"
    patch.write_text(
        diff(workspace.tree, Edit("fs/proc/cmdline.c", head, f'{head}\tpr_info_once("a\\n");\n'))
    )
    with pytest.raises(Refusal) as refused:
        suture.build([patch, source], target)
    assert refused.value.code == "idle-function-replaced"
    artifact = suture.build([patch, source], target, choices=accepting(IDLE))
    assert [finding.because for finding in artifact.findings] == [BECAUSE]
