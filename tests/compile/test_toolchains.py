# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels of two suites side by side on one host, each compiled by its own suite's compiler."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from pathlib import Path

import pytest

from suture import sources
from suture.builder import build
from suture.host.paths import cache
from suture.kernel.release import Target
from suture.workspace import compilers
from suture.workspace.prepare import Workspace, prepare
from tests.command import command
from tests.patches import Edit, diff

SHOW = "static int version_proc_show(struct seq_file *m, void *v)\n{\n"
VERSION = Edit("fs/proc/version.c", SHOW, f'{SHOW}\tseq_puts(m, "patched ");\n')

HERE = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
SUITE, SERIES = ("bookworm", "6.1.") if HERE == "trixie" else ("trixie", "6.12.")
"""A suite that this host is not, and a series of its kernels."""


@pytest.fixture(scope="module")
def strange_target() -> Target:
    """A kernel of the other suite; one that is here already is taken before the newest."""
    fitting = [
        offer
        for offer in sources.survey([SUITE]).offers
        if offer.suite == SUITE
        and re.fullmatch(rf"{re.escape(SERIES)}\S*\d-amd64", offer.release)
        and "bpo" not in offer.version
    ]
    here = [target.release for target in sources.fetched()]
    known = [offer for offer in fitting if offer.release in here]
    return sources.fetch((known or fitting)[0].release)


@pytest.fixture(scope="module")
def strange_workspace(strange_target: Target) -> Workspace:
    return prepare(strange_target)


def test_the_compiler_is_the_suites_own_to_the_last_letter(strange_workspace: Workspace) -> None:
    compiler = strange_workspace.compiler
    assert compiler.is_exact
    assert Path(compiler.command).is_relative_to(cache().resolve() / "toolchains")
    for program in ("as", "ld", "cc1", "collect2"):
        words = [compiler.command, f"-print-prog-name={program}"]
        found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        assert Path(found).resolve().is_relative_to(cache().resolve() / "toolchains"), program


def test_its_programs_use_no_library_of_this_host(strange_workspace: Workspace) -> None:
    """As glibc's loader says itself (ld.so(8), ``LD_TRACE_LOADED_OBJECTS``)."""
    compiler = strange_workspace.compiler
    for program in (compiler.command, compiler.program("ld"), compiler.program("objcopy")):
        lines = subprocess.run(
            [program],
            env={"LD_TRACE_LOADED_OBJECTS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        paths = re.findall(r"=> (/\S+) \(", lines)
        assert "libc.so.6" in lines
        libraries = [path for path in paths if "/ld-linux" not in path]
        assert [path for path in libraries if "toolchains" not in path] == []


def test_a_function_is_proved_equal_to_the_one_that_is_shipped(
    strange_workspace: Workspace, tmp_path: Path
) -> None:
    patch = tmp_path / "v.patch"
    patch.write_text(diff(strange_workspace.tree, VERSION))
    built = build([patch], strange_workspace.target, directory=tmp_path)
    assert [function.old_name for one in built.patch.objects for function in one.functions] == [
        "version_proc_show"
    ]
    assert built.findings == ()
    assert built.provenance.compiler == strange_workspace.compiler.version


def test_two_targets_with_two_compilers_are_never_mixed_up(
    strange_workspace: Workspace, ibt_workspace: Workspace, tmp_path: Path
) -> None:
    """Debian 12's 6.12 and Debian 13's 6.12: of one series, by two compilers."""
    modules: dict[str, bytes] = {}
    for workspace in (strange_workspace, ibt_workspace, strange_workspace):
        release = workspace.target.release
        patch = tmp_path / "same.patch"
        patch.write_text(diff(workspace.tree, VERSION))
        built = build([patch], workspace.target, output=tmp_path / f"{release}.ko")
        assert modules.setdefault(release, built.data) == built.data
        assert f"vermagic={release} ".encode() in built.data
        assert built.provenance.compiler == workspace.compiler.version
        assert workspace.compiler.wanted == compilers.version_line(workspace.target.config)
    assert len(set(modules.values())) == 2
    for target, other in (
        (strange_workspace.target, ibt_workspace.target),
        (ibt_workspace.target, strange_workspace.target),
    ):
        refused_for_another(tmp_path / f"{other.release}.ko", target, other)
    assert strange_workspace.name != ibt_workspace.name
    assert strange_workspace.compiler != ibt_workspace.compiler


def refused_for_another(module: Path, target: Target, other: Target) -> None:
    """The kernel itself would load it: with CONFIG_MODVERSIONS it compares CRCs, and those of one
    series are the same."""
    done = subprocess.run(
        command("test", module, "--kernel", target.release, "--json"),
        capture_output=True,
        text=True,
    )
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (1, "wrong-release")
    assert error["found"] == f"it is for {other.release}, not for {target.release}"


def test_the_doctor_names_the_compiler_and_where_it_is_from(strange_workspace: Workspace) -> None:
    words = command("doctor", "--kernel", strange_workspace.target.release, "--json")
    document = json.loads(subprocess.run(words, capture_output=True, text=True).stdout)
    (check,) = [one for one in document["checks"] if one["name"].startswith("compiler")]
    assert check["status"] == "ok"
    assert f"unpacked from Debian {SUITE}" in check["found"]
    assert check["name"] == f"compiler {Path(strange_workspace.compiler.command).name}"
