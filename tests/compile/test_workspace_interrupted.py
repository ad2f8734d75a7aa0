# SPDX-License-Identifier: GPL-2.0-or-later
"""A workspace that is stopped while it is made or used: the next run makes it whole, and two runs
make it once."""

from __future__ import annotations

import difflib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from suture.kernel.release import Target
from suture.sources.store import PARTS
from suture.workspace.prepare import Workspace
from tests.command import Place

CHILD = """
import dataclasses, json, os, pathlib, sys, threading, time
from suture.errors import Refusal
from suture.formats.diff import PatchSource, parse
from suture.host.progress import Silent, reporter
from suture.kernel.release import Target
from suture.sources.store import PARTS
from suture.workspace.compile import object_pairs, touched_by
from suture.workspace.prepare import prepare

class Stop(Silent):
    def begin(self, what, detail):
        print(what, flush=True)
        if what == sys.argv[2]:
            threading.Timer(0.7, os.kill, (os.getpid(), int(sys.argv[3]))).start()

reporter.set(Stop())
fields = json.loads(sys.argv[1])
paths = {name: value if name in ("release", "version") else pathlib.Path(value) for name, value in fields.items()}
workspace = prepare(Target(**paths))
if sys.argv[4]:
    patch = parse("test.patch", pathlib.Path(sys.argv[4]).read_bytes())
    object_pairs(workspace, touched_by(workspace, PatchSource((patch,))))
print(workspace.tree)
"""


def start(
    target: Target, cache: Path, stop_in: str = "", how: int = 0, patch: str = ""
) -> subprocess.Popen[str]:
    names = ("release", "version", *PARTS)
    fields = json.dumps({name: str(getattr(target, name)) for name in names})
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(cache),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.Popen(
        # A shell lets what it starts in the background ignore SIGINT, these tests included.
        ["env", "--default-signal", sys.executable, "-c", CHILD, fields, stop_in, str(how), patch],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def unfinished(cache: Path) -> list[Path]:
    return [
        path for path in (cache / "suture/workspaces").glob("*/*") if path.name.startswith(".part-")
    ]


def test_a_workspace_stopped_in_any_step_is_made_whole_by_the_next_run(
    target: Target, tmp_path: Path
) -> None:
    steps = {"Unpacking the source": signal.SIGINT, "Preparing kbuild": signal.SIGKILL}
    for step, how in steps.items():
        child = start(target, tmp_path, step, how)
        out, _ = child.communicate()
        assert child.returncode != 0
        assert out.splitlines()[-1] == step
        assert not list((tmp_path / "suture/workspaces").glob("*/ready"))
        if how != signal.SIGKILL:
            assert unfinished(tmp_path) == []
    # Two at once, over what the killed run left: one makes it, the other waits and takes it.
    both = [start(target, tmp_path), start(target, tmp_path)]
    outputs = [child.communicate()[0].splitlines() for child in both]
    assert [child.returncode for child in both] == [0, 0]
    assert sorted("Unpacking the source" in lines for lines in outputs) == [False, True]
    assert outputs[0][-1] == outputs[1][-1]
    assert unfinished(tmp_path) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("step", ["Compiling the original", "Compiling the patched side"])
def test_a_compilation_stopped_is_done_again(
    place: Place, workspace: Workspace, tmp_path: Path, step: str, how: int
) -> None:
    source = "kernel/sched/fair.c"  # takes the compiler seconds
    text = (workspace.tree / source).read_text()
    # A workspace of its own: a killed run leaves its mark until the next one, and other tests look.
    tree = place.with_workspace(workspace, {source: text.encode()})
    old = text.splitlines(keepends=True)
    new = [old[0], f"int suture_test_{how}_{step[14]};\n", *old[1:]]
    patch = tmp_path / "test.patch"
    patch.write_text("".join(difflib.unified_diff(old, new, f"a/{source}", f"b/{source}")))
    child = start(workspace.target, place.base, step, how, str(patch))
    child.communicate()
    assert child.returncode != 0
    whole = start(workspace.target, place.base, patch=str(patch))
    out, _ = whole.communicate()
    assert whole.returncode == 0
    assert out.splitlines()[-1] == str(tree)
    assert step in out.splitlines()
    assert not (tree.parent.parent / "unfinished").exists()
