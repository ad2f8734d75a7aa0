# SPDX-License-Identifier: GPL-2.0-or-later
"""One patch for several kernels: each is tried, and the result says what became of each."""

from __future__ import annotations

import json
from pathlib import Path

from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.command import Place
from tests.patches import Edit, diff

VERSION = Edit(
    "fs/proc/version.c",
    "seq_printf(m, linux_proc_banner,",
    'seq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
)


def kernels(*targets: Target) -> list[str]:
    return [word for target in targets for word in ("--kernel", target.release)]


def only_here(tree: Path, other: Path) -> str:
    """A patch whose context only the first of two trees has."""
    path = "fs/proc/meminfo.c"
    one, two = ((root / path).read_text().splitlines(keepends=True) for root in (tree, other))
    number = next(n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
    changed = "".join([*one[:number], "/* here */\n", *one[number:]])
    return diff(tree, Edit(path, "".join(one), changed))


def test_each_kernel_is_tried_whatever_became_of_the_others(
    place: Place,
    target: Target,
    ibt_target: Target,
    workspace: Workspace,
    ibt_workspace: Workspace,
) -> None:
    mine = diff(workspace.tree, VERSION) + only_here(workspace.tree, ibt_workspace.tree)
    place.patch(mine)
    words = ("build", "my.patch", *kernels(ibt_target, target), "-o", "out", "--name", "both")
    finished = place.run(*words, "--json")
    assert finished.returncode == 1, finished.stderr
    document = json.loads(finished.stdout)
    refused, built = document["kernels"]
    assert (refused["release"], refused["state"]) == (ibt_target.release, "refused")
    assert refused["error"]["code"] == "patch-does-not-apply"
    assert (built["release"], built["state"]) == (target.release, "built")
    assert built["modules"] == document["modules"]
    module = place.directory / "out" / target.release / "both.ko"
    assert [one["module"] for one in built["modules"]] == [f"out/{target.release}/both.ko"]
    assert module.is_file()
    assert sorted(place.directory.glob("out/*/*")) == [module]
    plain = place.run(*words)
    rows = {line.split()[0]: line for line in plain.stdout.splitlines() if line.strip()}
    assert "refused" in rows[ibt_target.release]
    assert "patch-does-not-apply: my.patch" in rows[ibt_target.release]
    assert "built" in rows[target.release]
    assert f"{target.release}: Comparing" in plain.stderr


def test_a_kernel_that_has_the_fix_is_no_failure(
    place: Place, target: Target, ibt_target: Target, workspace: Workspace
) -> None:
    wanted = diff(workspace.tree, VERSION)
    swapped = wanted.replace("\n+\t", "\n@\t").replace("\n-\t", "\n+\t").replace("\n@\t", "\n-\t")
    place.patch(swapped.replace(",7 +9,8", ",8 +9,7").replace(",6 +9,7", ",7 +9,6"))
    finished = place.run("build", "my.patch", *kernels(target, ibt_target), "--json")
    assert finished.returncode == 0, finished.stdout
    document = json.loads(finished.stdout)
    assert [one["state"] for one in document["kernels"]] == ["has it already"] * 2


def test_kernels_that_are_not_here_are_not_fetched_unasked(place: Place) -> None:
    place.patch("")
    refusal = place.refused("build", "my.patch", "--kernel", "*-none-amd64", "--kernel", "x")
    assert refusal.code in ("kernel-not-offered", "archive-unreachable")
