# SPDX-License-Identifier: GPL-2.0-or-later
"""A host's life with the runtime package, in real Debian guests with systemd: it is installed, live
patches are loaded, the host reboots, apt upgrades the kernel, live patches are built again for that
kernel before the host boots it, and the package is removed.  No host comes up unprotected
unsaid."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from suture import __version__
from suture.builder import build
from suture.kernel.release import Target
from suture.lab.complaints import Complaint
from suture.lab.machine import Machine
from suture.lab.system import System
from suture.rebuild import RebuildOptions, RebuildState, rebuild_files
from suture.workspace.prepare import prepare
from tests import deb_packages
from tests.lab import debian_guests, kernel_packages
from tests.lab.debian_guests import REPOSITORY
from tests.lab.kernel_packages import META
from tests.patches import Edit, diff

DEADLINE = 300.0
"""Seconds for a step in a guest on a busy machine."""

SUITES = ("bookworm", pytest.param("trixie", marks=pytest.mark.only_in_test_all))
"""Debian 12 and 13."""

KERNELS = {"bookworm": ("target", "ibt_target"), "trixie": ("trixie_target", "newest_target")}
"""The old and the new one, by their fixtures."""

FOR_NEW_KERNEL = {"bookworm": (), "trixie": ("linux-base/trixie-backports",)}
"""What the new kernel needs of the host: kernels of backports have linux-base of the same."""

NEEDED, FIXED = "livepatch_needed", "livepatch_fixed"

TITLES = {NEEDED: "proc: say who mended it", FIXED: "proc: mend cmdline"}

EDITS = {
    NEEDED: Edit(
        "fs/proc/version.c",
        "\tseq_printf(m, linux_proc_banner,",
        '\tseq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
    ),
    FIXED: Edit(
        "fs/proc/cmdline.c",
        "\tseq_puts(m, saved_command_line);",
        '\tseq_puts(m, "Sutured ");\n\tseq_puts(m, saved_command_line);',
    ),
}

MAIL = """\
From: A. Author <a@example.org>
Date: Mon, 2 Nov 2026 10:00:00 +0100
Subject: [PATCH] {title}

---
{diff}"""

CHANGELOG = """\
linux ({version}) {suite}; urgency=medium

  * New upstream stable update:
    - {title} (CVE-2026-1001)

 -- Somebody <somebody@example.org>  Mon, 23 Nov 2026 10:00:00 +0100
"""

REJECTING = """\
#!/bin/sh
echo not today
exit 1
"""

FREEZE = "/etc/suture/hooks.d/pre-load/freeze"

APT = "DEBIAN_FRONTEND=noninteractive apt-get -qy"

IN_FORCE = "uname -r; cut -c -7 /proc/version; ls /sys/kernel/livepatch"
"""Seen from the kernel itself."""

SETTLED = "systemctl is-system-running --wait; systemctl --failed --no-legend --plain"

UNIT = "systemctl show -p ExecMainStatus,ActiveState,FragmentPath suture.service"

HOOKS = """\
run-parts --arg={new} --arg=/boot/vmlinuz-{new} /etc/kernel/postinst.d
/etc/update-motd.d/60-suture"""

LOGIN = "run-parts /etc/update-motd.d"

CHECK = "suture status --check --json"

JOURNAL = "journalctl -b -o cat --no-pager | grep -i suture || true"

LEFT = f"find / -xdev -path '*suture*' -not -path '{REPOSITORY}/*'"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A host, and the kernel that it gets.

    :ivar base: its root file system at first.
    """

    suite: str
    old: Target
    new: Target
    base: Path


@dataclass(frozen=True, slots=True)
class HostLife:
    """A host from the installation of the package to the boot after its purge.

    :ivar said: what each step printed, by its name.
    :ivar complaints: the kernels', of all boots.
    """

    upgrade: Upgrade
    said: dict[str, str] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def do(self, machine: Machine, name: str, *commands: str, status: int = 0) -> None:
        result = machine.run("\n".join(("set -e", *commands)), deadline=DEADLINE)
        assert result.status == status, f"{name}: {result.text}"
        # apt gives dpkg a terminal.
        self.said[name] = result.text.replace("\r\n", "\n")

    def off(self, machine: Machine) -> None:
        self.complaints.extend(machine.complaints())
        machine.power_off(deadline=DEADLINE)


@pytest.fixture(scope="module", params=SUITES)
def upgrade(request: pytest.FixtureRequest) -> Upgrade:
    suite = request.param
    old, new = (request.getfixturevalue(name) for name in KERNELS[suite])
    return Upgrade(suite, old, new, debian_guests.image(suite, *FOR_NEW_KERNEL[suite]))


@pytest.fixture(scope="module")
def runtime_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("suture")
    deb_packages.make(directory, checked=False)
    return next(directory.glob("suture_*.deb"))


@pytest.fixture(scope="module")
def fixes(upgrade: Upgrade, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two live patches that let each other be."""
    directory, tree = tmp_path_factory.mktemp("fixes"), prepare(upgrade.old).tree
    made = {}
    for name, title in TITLES.items():
        patch = directory / f"{name}.patch"
        patch.write_text(MAIL.format(title=title, diff=diff(tree, EDITS[name])))
        output = directory / f"{name}.ko"
        made[name] = build([patch], upgrade.old, output=output, name=name, replace=False).path
    return made


@pytest.fixture(scope="module")
def successor(
    upgrade: Upgrade, fixes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The live patch that the new kernel needs, from the module for the old one, as another host
    builds it."""
    options = RebuildOptions(tmp_path_factory.mktemp("new"), is_tested=False)
    (done,) = rebuild_files(upgrade.new.release, [fixes[NEEDED]], options=options)
    assert done.state is RebuildState.WRITTEN
    row = subprocess.run(["modinfo", "-F", "vermagic", done.path], capture_output=True, check=True)
    assert row.stdout.decode().startswith(f"{upgrade.new.release} ")
    return Path(done.path)


@pytest.fixture(scope="module")
def life(
    upgrade: Upgrade,
    runtime_package: Path,
    fixes: dict[str, Path],
    successor: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> HostLife:
    lived = HostLife(upgrade)
    directory = tmp_path_factory.mktemp("packages")
    old = [*kernel(upgrade, upgrade.old, "proc: unrelated", directory), runtime_package]
    new = [*old, *kernel(upgrade, upgrade.new, TITLES[FIXED], directory)]
    modules = {f"/lp/{path.name}": path.read_bytes() for path in fixes.values()}
    with System.make(upgrade.old, upgrade.base) as system:
        with system.boot(files=archive(old) | modules) as machine:
            the_package_is_installed(lived, machine)
            live_patches_are_loaded(lived, machine)
            lived.off(machine)
        with system.boot(files=archive(new)) as machine:
            seen(lived, machine, "old")
            apt_upgrades_the_kernel(lived, machine)
            the_successor_is_installed(lived, machine, successor)
            lived.off(machine)
        with dataclasses.replace(system, target=next_kernel(lived)).boot() as machine:
            seen(lived, machine, "new")
            the_successor_is_missed(lived, machine)
            the_package_is_removed_and_purged(lived, machine)
            lived.off(machine)
        with dataclasses.replace(system, target=next_kernel(lived)).boot() as machine:
            nothing_is_left(lived, machine)
            lived.off(machine)
    return lived


def the_package_is_installed(life: HostLife, machine: Machine) -> None:
    life.do(machine, "kernel", f"{APT} update", f"{APT} install {META}")
    life.do(machine, "install", f"{APT} install {REPOSITORY}/suture_*_all.deb")
    life.do(machine, "version", "suture --version", "dpkg -S $(command -v suture)")
    life.do(machine, "enabled", "systemctl is-enabled suture.service suture-confirm.service")


def live_patches_are_loaded(life: HostLife, machine: Machine) -> None:
    life.do(machine, "kept", *(f"suture install /lp/{name}.ko" for name in TITLES))
    machine.put(FREEZE, REJECTING.encode())
    life.do(machine, "frozen", f"suture load {NEEDED} --json", status=1)
    life.do(machine, "load", f"rm {FREEZE}", *(f"suture load {name}" for name in TITLES))
    life.do(machine, "loaded", IN_FORCE)


def seen(life: HostLife, machine: Machine, boot: str) -> None:
    """What a boot has brought about, before anybody does anything."""
    life.do(machine, f"settled-{boot}", SETTLED)
    life.do(machine, f"booted-{boot}", IN_FORCE)
    life.do(machine, f"unit-{boot}", UNIT)
    life.do(machine, f"check-{boot}", f"{CHECK} || true")
    life.do(machine, f"login-{boot}", LOGIN)


def apt_upgrades_the_kernel(life: HostLife, machine: Machine) -> None:
    life.do(machine, "upgrade", f"{APT} update", f"{APT} full-upgrade")
    life.do(machine, "next", "readlink -f /vmlinuz", "sha256sum </vmlinuz")
    life.do(machine, "status", "suture status")
    life.do(machine, "plan", "suture rebuild --dry-run --json", status=1)


def the_successor_is_installed(life: HostLife, machine: Machine, successor: Path) -> None:
    machine.put(f"/lp/new/{NEEDED}.ko", successor.read_bytes())
    life.do(machine, "carried", f"suture install /lp/new/{NEEDED}.ko")
    life.do(machine, "plan-carried", "suture rebuild --dry-run")
    life.do(machine, "status-carried", "suture status")


def next_kernel(life: HostLife) -> Target:
    """The kernel that a boot loader takes: that of the link to the newest."""
    path, digest, *_ = life.said["next"].split()
    known = {f"/boot/vmlinuz-{one.release}": one for one in (life.upgrade.old, life.upgrade.new)}
    assert digest == hashlib.sha256(known[path].vmlinuz.read_bytes()).hexdigest()
    return known[path]


def the_successor_is_missed(life: HostLife, machine: Machine) -> None:
    life.do(machine, "away", f"suture uninstall {NEEDED}", f"suture unload {NEEDED}")
    life.do(machine, "check-away", CHECK, status=8)
    life.do(machine, "login-away", LOGIN)
    again = (f"suture install /lp/new/{NEEDED}.ko", f"suture load {NEEDED}")
    life.do(machine, "again", *again, IN_FORCE)


def the_package_is_removed_and_purged(life: HostLife, machine: Machine) -> None:
    new = life.upgrade.new.release
    life.do(machine, "remove", f"{APT} remove suture")
    life.do(machine, "removed", IN_FORCE)
    life.do(machine, "kept-removed", "find /var/lib/suture -name '*.ko' -printf '%P\\n'")
    life.do(machine, "hooks-removed", HOOKS.format(new=new))
    life.do(machine, "kernel-removed", f"{APT} install --reinstall linux-image-{new}")
    life.do(machine, "purge", f"{APT} purge suture")
    life.do(machine, "purged", IN_FORCE)


def nothing_is_left(life: HostLife, machine: Machine) -> None:
    life.do(machine, "settled-end", SETTLED)
    life.do(machine, "booted-end", IN_FORCE)
    life.do(machine, "tainted-end", "cat /proc/sys/kernel/tainted")
    life.do(machine, "journal-end", JOURNAL)
    life.do(machine, "login-end", LOGIN)
    life.do(machine, "left", LEFT)


def kernel(upgrade: Upgrade, target: Target, title: str, into: Path) -> list[Path]:
    """The package of a kernel whose last change is a fix of that title."""
    changelog = CHANGELOG.format(version=target.version, suite=upgrade.suite, title=title)
    return kernel_packages.of_kernel(target, changelog, into)


def archive(packages: Iterable[Path]) -> dict[str, bytes]:
    """Files of an archive that apt reads from the guest's disk."""
    found = list(packages)
    listed = kernel_packages.index(found).encode()
    files = {f"{REPOSITORY}/{path.name}": path.read_bytes() for path in found}
    return {f"{REPOSITORY}/Packages": listed, **files}


def test_apt_installs_the_package(life: HostLife) -> None:
    assert "Setting up suture " in life.said["install"]
    assert life.said["version"].splitlines() == [
        f"suture {__version__}",
        "suture: /usr/bin/suture",
    ]
    assert life.said["enabled"].split() == ["enabled", "enabled"]


def test_live_patches_are_installed_and_loaded(life: HostLife) -> None:
    release = life.upgrade.old.release
    for name in TITLES:
        assert f"{name} is installed for {release}." in life.said["kept"]
    assert "Created" not in life.said["kept"], "the package has brought units and hooks"
    assert life.said["loaded"].split() == [release, "Sutured", FIXED, NEEDED]


def test_a_program_of_the_administrators_refuses_one(life: HostLife) -> None:
    words = life.said["frozen"]
    error = json.loads(words[words.index("{") :])["error"]
    assert (error["code"], error["evidence"]) == ("hook-refused", ["not today"])


@pytest.mark.parametrize("boot", ["old", "new"])
def test_a_boot_loads_what_is_installed_for_its_kernel(boot: str, life: HostLife) -> None:
    kernels = {
        "old": [life.upgrade.old.release, "Sutured", FIXED, NEEDED],
        "new": [life.upgrade.new.release, "Sutured", NEEDED],
    }
    assert life.said[f"booted-{boot}"].split() == kernels[boot]
    assert life.said[f"settled-{boot}"] == "running\n"
    unit = dict(line.split("=") for line in life.said[f"unit-{boot}"].splitlines())
    assert (unit["ActiveState"], unit["ExecMainStatus"]) == ("active", "0")
    assert unit["FragmentPath"].endswith("/lib/systemd/system/suture.service")
    assert json.loads(life.said[f"check-{boot}"])["verdict"] == "ok"
    assert "Live patches" not in life.said[f"login-{boot}"]


def test_apt_says_what_the_new_kernel_means(life: HostLife) -> None:
    """When its package is installed, and once more at the end."""
    old, new = life.upgrade.old.release, life.upgrade.new
    report = f"""\
Live patches and {new.release}:
  {NEEDED} (for {old}) can be built again
  {FIXED} (for {old}) is not needed: the changelog of {new.version} has '{TITLES[FIXED]}'
  'suture rebuild --kernel {new.release}' builds, tests and installs them.
  After a reboot into it, {NEEDED} will be missing.
"""
    said = life.said["upgrade"]
    assert said.count(report) == 2
    assert f"/etc/kernel/postinst.d/zz-suture:\n{report}" in said
    assert said.endswith(report)
    assert "Live patches" not in life.said["kernel"]


def test_the_upgrade_leaves_the_running_kernel_alone(life: HostLife) -> None:
    assert f"{life.upgrade.old.release}: 2 live patches in force" in life.said["status"]
    told = (
        f"{life.upgrade.new.release} is installed: after a reboot into it, {NEEDED} will be missing"
    )
    assert told in life.said["status"]
    assert told not in life.said["status-carried"]
    assert next_kernel(life) is life.upgrade.new


def test_what_another_host_has_built_completes_the_new_kernel(life: HostLife) -> None:
    plan = json.loads(life.said["plan"])
    assert plan["release"] == life.upgrade.new.release
    assert {one["name"]: one["kind"] for one in plan["live_patches"]} == {
        NEEDED: "rebuildable",
        FIXED: "fixed",
    }
    assert f"{NEEDED} is installed for {life.upgrade.new.release}." in life.said["carried"]
    old = life.upgrade.old.release
    assert f"  {NEEDED} (for {old}) is kept for it already\n" in life.said["plan-carried"]
    assert f"  {FIXED} (for {old}) is not needed: " in life.said["plan-carried"]


def test_without_it_the_new_kernel_is_said_to_be_unprotected(life: HostLife) -> None:
    document = json.loads(life.said["check-away"])
    assert (document["verdict"], document["patches"]) == ("unprotected", [])
    (missing,) = document["unprotected"]
    assert (missing["name"], missing["releases"]) == (NEEDED, [life.upgrade.old.release])
    assert missing["fixes"][0]["title"] == TITLES[NEEDED]
    line = f"is not protected by {NEEDED} (for {life.upgrade.old.release})"
    assert line in life.said["login-away"]
    assert life.said["again"].endswith(f"{life.upgrade.new.release}\nSutured\n{NEEDED}\n")


def test_removal_leaves_what_is_in_force_and_says_so(life: HostLife) -> None:
    said = life.said["remove"]
    assert f"suture: {NEEDED} stays in force until the next boot.\n" in said
    assert f"suture: {FIXED} " not in said
    assert "/var/lib/suture keeps the installed live patches and the journal" in said
    assert life.said["removed"].split() == [life.upgrade.new.release, "Sutured", NEEDED]
    kept = [path.split("/")[0] for path in life.said["kept-removed"].splitlines()]
    old, new = life.upgrade.old.release, life.upgrade.new.release
    assert sorted(kept) == sorted([old, old, new])


def test_without_the_package_its_hooks_do_nothing(life: HostLife) -> None:
    assert life.said["hooks-removed"] == ""
    said = life.said["kernel-removed"]
    assert f"Setting up linux-image-{life.upgrade.new.release} " in said
    assert re.findall(".*suture.*|.*[Ll]ive patch.*", said) == []


def test_purge_ends_with_the_next_boot(life: HostLife) -> None:
    said, new = life.said["purge"], life.upgrade.new.release
    assert f"suture: {NEEDED} stays in force until the next boot.\n" in said
    assert "suture: removing the installed live patches and the journal" in said
    assert life.said["purged"].split() == [new, "Sutured", NEEDED]
    assert life.said["booted-end"].split() == [new, "Linux", "v"]
    assert life.said["tainted-end"] == "0\n"


def test_purge_leaves_nothing(life: HostLife) -> None:
    assert life.said["settled-end"] == "running\n"
    assert life.said["journal-end"] == ""
    assert life.said["left"] == ""
    assert "Live patches" not in life.said["login-end"]


def test_no_kernel_complains(life: HostLife) -> None:
    assert life.complaints == []


@pytest.mark.only_in_test_all
def test_a_later_installation_finds_what_a_removal_left(
    upgrade: Upgrade, runtime_package: Path, fixes: dict[str, Path], tmp_path: Path
) -> None:
    """And its upgrade leaves what is in force alone."""
    life = HostLife(upgrade)
    newer = deb_packages.repack(runtime_package, tmp_path)
    modules = {f"/lp/{path.name}": path.read_bytes() for path in fixes.values()}
    release = upgrade.old.release
    with System.make(upgrade.old, upgrade.base) as system:
        with system.boot(files=archive([runtime_package]) | modules) as machine:
            life.do(machine, "update", f"{APT} update")
            life.do(machine, "install", f"{APT} install suture")
            life.do(machine, "kept", f"suture install /lp/{NEEDED}.ko")
            life.do(machine, "remove", f"{APT} remove suture")
            life.off(machine)
        with system.boot() as machine:
            life.do(machine, "settled-removed", SETTLED)
            life.do(machine, "booted-removed", IN_FORCE)
            life.do(machine, "journal-removed", JOURNAL)
            life.do(machine, "install-again", f"{APT} install suture")
            life.do(machine, "installed-again", IN_FORCE)
            life.off(machine)
        with system.boot(files=archive([runtime_package, newer])) as machine:
            life.do(machine, "booted-again", IN_FORCE)
            life.do(machine, "upgrade", f"{APT} update", f"{APT} upgrade", "suture --version")
            life.do(machine, "upgraded", IN_FORCE)
            life.do(machine, "check-upgraded", CHECK)
            life.off(machine)
    assert life.said["settled-removed"] == "running\n"
    assert life.said["booted-removed"].split() == [release, "Linux", "v"]
    assert life.said["journal-removed"] == ""
    assert life.said["installed-again"] == life.said["booted-removed"], "that is up to boots"
    assert life.said["booted-again"].split() == [release, "Sutured", NEEDED]
    assert life.said["upgrade"].endswith(f"suture {deb_packages.NEWER}\n")
    assert life.said["upgraded"] == life.said["booted-again"]
    assert json.loads(life.said["check-upgraded"])["verdict"] == "ok"
    assert life.complaints == []
