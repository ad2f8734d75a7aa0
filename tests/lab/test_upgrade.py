# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel upgrade, in a small real Debian with systemd: said before the reboot, seen after it, and
mended with what was built again from the modules."""

from __future__ import annotations

import dataclasses
import gzip
import json
import subprocess
from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.artifact import Artifact
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.lab.system import System
from suture.rebuild import RebuildOptions, RebuildState, rebuild_files
from suture.workspace.prepare import Workspace
from tests.lab.test_boot import DEADLINE, loaded, sh, suture
from tests.patches import Edit, diff

MAIL = """\
From: A. Author <a@example.org>
Date: Mon, 2 Nov 2026 10:00:00 +0100
Subject: [PATCH] {title}

---
{diff}"""

NEEDED = Edit(
    "fs/proc/version.c",
    "\tseq_printf(m, linux_proc_banner,",
    '\tseq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
)
FIXED = Edit(
    "fs/proc/cmdline.c",
    "\tseq_puts(m, saved_command_line);",
    '\tseq_puts(m, "Sutured ");\n\tseq_puts(m, saved_command_line);',
)
TITLES = {"livepatch_needed": "proc: say who mended it", "livepatch_fixed": "proc: mend cmdline"}

CHANGELOG = """\
linux-signed-amd64 (6.99.1+1) bookworm; urgency=medium

  * New upstream stable update:
    - proc: mend cmdline (CVE-2026-1001)

 -- Somebody <somebody@example.org>  Mon, 23 Nov 2026 10:00:00 +0100
"""

DIRECTORIES = "/etc/kernel/postinst.d /etc/apt/apt.conf.d /etc/needrestart/conf.d"

REJECTING = """\
#!/bin/sh
echo not today
exit 1
"""


@pytest.fixture
def fixes(workspace: Workspace, target: Target, tmp_path: Path) -> dict[str, Artifact]:
    """Two live patches that let each other be."""
    made = {}
    for (name, title), edit in zip(TITLES.items(), (NEEDED, FIXED), strict=True):
        patch = tmp_path / f"{name}.patch"
        patch.write_text(MAIL.format(title=title, diff=diff(workspace.tree, edit)))
        output = tmp_path / f"{name}.ko"
        made[name] = build([patch], target, output=output, name=name, replace=False)
    return made


@pytest.fixture
def successor(fixes: dict[str, Artifact], ibt_target: Target, tmp_path: Path) -> bytes:
    """The live patch that the new kernel needs, from the module for the old one."""
    options = RebuildOptions(tmp_path / "new", is_tested=False)
    path = fixes["livepatch_needed"].path
    (done,) = rebuild_files(ibt_target.release, [path], options=options)
    assert done.state is RebuildState.WRITTEN
    row = subprocess.run(["modinfo", "-F", "vermagic", done.path], capture_output=True, check=True)
    assert row.stdout.decode().startswith(f"{ibt_target.release} ")
    return Path(done.path).read_bytes()


def test_no_host_comes_up_unprotected_unsaid(
    target: Target, ibt_target: Target, fixes: dict[str, Artifact], successor: bytes
) -> None:
    new = ibt_target.release
    files = {f"/lp/{name}.ko": made.path.read_bytes() for name, made in fixes.items()}
    files |= {
        "/lp/new.ko": successor,
        f"/boot/vmlinuz-{new}": b"",
        f"/usr/share/doc/linux-image-{new}/changelog.gz": gzip.compress(CHANGELOG.encode()),
    }
    files["/lp/several.py"] = several()
    with System.make(target) as system:
        with system.boot(files=files) as machine:
            before_the_upgrade(machine)
            the_upgrade_says_what_it_means(machine, new)
            machine.power_off(deadline=DEADLINE)
        with dataclasses.replace(system, target=ibt_target).boot() as machine:
            the_new_kernel_is_unprotected(machine, target.release)
            the_successor_protects_it(machine)
            assert machine.complaints() == ()
            machine.power_off(deadline=DEADLINE)


def several() -> bytes:
    from tests.lab.runtime import SEVERAL

    return SEVERAL.encode()


def before_the_upgrade(machine: Machine) -> None:
    sh(machine, f"mkdir -p {DIRECTORIES}")
    first, *_ = suture(machine, *(f"install /lp/{name}.ko" for name in TITLES))
    assert "Created /etc/update-motd.d/60-suture, /etc/kernel/postinst.d/zz-suture" in first
    sh(machine, "mkdir -p /etc/suture/hooks.d/pre-load")
    machine.put("/etc/suture/hooks.d/pre-load/freeze", REJECTING.encode())
    sh(machine, "chmod 755 /etc/suture/hooks.d/pre-load/freeze")
    (refused,) = suture(machine, "load livepatch_needed --json", status=1)
    error = json.loads(refused)["error"]
    assert (error["code"], error["evidence"]) == ("hook-refused", ["not today"])
    sh(machine, "rm /etc/suture/hooks.d/pre-load/freeze")
    suture(machine, *(f"load {name}" for name in TITLES))
    assert sh(machine, "cat /proc/version").startswith("Sutured ")


def the_upgrade_says_what_it_means(machine: Machine, new: str) -> None:
    said = sh(machine, f"run-parts --arg={new} --arg=/boot/vmlinuz-{new} /etc/kernel/postinst.d")
    assert "livepatch_fixed" in said
    assert "is not needed: the changelog of 6.99.1+1 has 'proc: mend cmdline'" in said
    assert "can be built again" in said
    assert "After a reboot into it, livepatch_needed will be missing." in said
    post = sh(machine, "apt-config dump DPkg::Post-Invoke 2>/dev/null || true")
    if post:
        assert "suture.core.upgrade --at-end" in post
    again = sh(machine, "python3 -I -m suture.core.upgrade --at-end")
    assert again.count("livepatch_needed") == 2
    (plan,) = suture(machine, "rebuild --dry-run --json", status=1)
    document = json.loads(plan)
    assert document["release"] == new
    assert {one["name"]: one["kind"] for one in document["live_patches"]} == {
        "livepatch_needed": "rebuildable",
        "livepatch_fixed": "fixed",
    }


def the_new_kernel_is_unprotected(machine: Machine, old: str) -> None:
    sh(machine, "systemctl is-system-running --wait || true")
    assert loaded(machine) == []
    check = machine.run("suture status --check --json", deadline=DEADLINE)
    document = json.loads(check.text)
    assert (check.status, document["verdict"]) == (8, "unprotected")
    (missing,) = document["unprotected"]
    assert (missing["name"], missing["releases"]) == ("livepatch_needed", [old])
    assert missing["fixes"][0]["title"] == TITLES["livepatch_needed"]
    login = sh(machine, "run-parts /etc/update-motd.d")
    assert f"is not protected by livepatch_needed (for {old})" in login


def the_successor_protects_it(machine: Machine) -> None:
    suture(machine, "install /lp/new.ko", "load livepatch_needed")
    assert sh(machine, "cat /proc/version").startswith("Sutured ")
    (status,) = suture(machine, "status --check --json")
    assert json.loads(status)["verdict"] == "ok"
    assert "Live patches" not in sh(machine, "run-parts /etc/update-motd.d")
    suture(machine, "rebuild --dry-run")
