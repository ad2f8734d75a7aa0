# SPDX-License-Identifier: GPL-2.0-or-later
"""``kpatch-build`` as a script calls it: its options, its words, its exit status, and the module
that comes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suture.cli.app import main as suture
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.command import SOURCE
from tests.patches import Edit, diff

NEW_VERSION = Edit(
    "fs/proc/version.c",
    "seq_printf(m, linux_proc_banner,",
    'seq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
)
NEW_UPTIME = Edit("fs/proc/uptime.c", '"%lu.%02lu %lu.%02lu\\n"', '"up %lu.%02lu %lu.%02lu\\n"')


@pytest.fixture
def patches(workspace: Workspace, tmp_path: Path) -> list[str]:
    for name, edit in (("cve-1.patch", NEW_VERSION), ("cve-2.patch", NEW_UPTIME)):
        (tmp_path / name).write_text(diff(workspace.tree, edit))
    return ["cve-1.patch", "cve-2.patch"]


def run(directory: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The installed command; a script reads its two streams and its status."""
    assert suture(["compat", "install", "--prefix", str(directory / "prefix")]) == 0
    command = [directory / "prefix/bin/kpatch-build", *words]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


def readelf(*words: str | Path) -> str:
    return subprocess.run(
        ["readelf", "-W", *words], capture_output=True, text=True, check=True
    ).stdout


def test_a_script_with_every_option_gets_its_module(
    target: Target, workspace: Workspace, patches: list[str], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    done = run(
        tmp_path,
        *(
            "-s",
            workspace.tree,
            "-v",
            target.vmlinux,
            "-c",
            target.config,
            "-t",
            "vmlinux",
            "-j",
            "2",
            "-d",
            "-d",
        ),
        *(
            "--skip-cleanup",
            "--skip-compiler-check",
            "--skip-gcc-check",
            "-n",
            "livepatch-cve",
            "-o",
            "out",
        ),
        *patches,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Building patch module: livepatch-cve.ko\nSUCCESS\n"
    not_needed = [
        line.split(":")[1].strip()
        for line in done.stderr.splitlines()
        if line.startswith("not needed: ")
    ]
    assert not_needed == [
        "-c",
        "-j",
        "-t",
        "-d",
        "--skip-cleanup",
        "--skip-compiler-check",
        "--skip-gcc-check",
        "-s",
    ]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["livepatch-cve.ko"]
    module = tmp_path / "out" / "livepatch-cve.ko"
    said = readelf("-p", ".modinfo", module)
    assert "livepatch=Y" in said
    assert "name=livepatch_cve\n" in said
    assert f"vermagic={target.release} " in said
    assert ".klp.rela.vmlinux." in readelf("-S", module)
    symbols = readelf("-s", module)
    assert ".klp.sym.vmlinux.linux_proc_banner,0" in symbols
    assert {"version_proc_show", "uptime_proc_show"} <= {
        line.split()[-1] for line in symbols.splitlines() if line
    }
    assert not any(name in symbols for name in ("livepatch_function_", "livepatch_call_"))


def test_one_patch_for_a_named_release_lies_in_the_working_directory(
    target: Target, patches: list[str], tmp_path: Path
) -> None:
    done = run(tmp_path, "-a", target.release, "-R", patches[0])
    assert (done.returncode, done.stdout) == (
        0,
        "Building patch module: livepatch-cve-1.ko\nSUCCESS\n",
    ), done.stderr
    inspected = subprocess.run(
        [sys.executable, "-m", "suture", "inspect", tmp_path / "livepatch-cve-1.ko"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert inspected.stdout.startswith(
        f"livepatch_cve_1, a live patch for {target.release}; stacks on live patches"
    )


def test_what_cannot_be_done_ends_with_1_and_no_module(
    target: Target, patches: list[str], tmp_path: Path
) -> None:
    (tmp_path / "broken.patch").write_text(
        "--- a/fs/proc/version.c\n+++ b/fs/proc/version.c\n@@ -1 +1 @@\n-x\n+y\n"
    )
    for words, found in (
        (("-r", "kernel.src.rpm", *patches), "ERROR: -r: source RPMs are not supported"),
        (("-a", target.release, "broken.patch"), "ERROR: error[patch-does-not-apply]: "),
    ):
        done = run(tmp_path, *words)
        assert done.returncode == 1
        assert found in done.stderr
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.ko"))
