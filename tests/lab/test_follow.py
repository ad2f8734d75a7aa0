# SPDX-License-Identifier: GPL-2.0-or-later
"""Three hosts in two rings follow a repository: each guest's kernel says what is in force."""

from __future__ import annotations

import io
import json
import shlex
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from suture.core.system_hooks import FOLLOW
from suture.lab import installed
from suture.lab.machine import Machine
from suture.lab.system import System
from suture.repo import roles
from suture.repo.choice import place
from suture.repo.deb import wrap
from suture.repo.roles import RoleChange
from suture.workspace.prepare import Workspace
from tests.lab import modules, runtime
from tests.unit.repo.site import Site

DEADLINE = 900.0
"""Seconds for a step in a guest on a busy machine: Python and OpenSSL have to start in it."""

NEEDED = (
    *("suture.repo.follow", "suture.repo.host", "suture.repo.setup", "suture.core.installing"),
    *("suture.core.load", "suture.core.unload", "suture.cli.follow", "suture.repo.settings"),
    *("tuf.api.serialization.json", "tuf.ngclient", "securesystemslib.signer", "urllib3"),
    *("cryptography.hazmat.primitives.asymmetric.ed25519", "_strptime"),
)

SOURCES = {
    name: modules.live_patch(modules.shows(name), {"cmdline_proc_show": "new_code"}, replace=True)
    for name in ("fix_one", "fix_two")
}

SERVE = """
mkdir -p /srv/repository /etc/suture /var/lib /tmp /run
ifconfig lo 127.0.0.1 up
busybox httpd -p 127.0.0.1:80 -h /srv/repository
"""

FOLLOWED = """
url = "http://127.0.0.1/"
ring = "{ring}"
at-boot = false
"""


class Follower:
    """A guest that follows the repository, which is served on its own loopback."""

    def __init__(self, machine: Machine, site: Site, machine_id: str) -> None:
        self.machine, self.site, self.machine_id = machine, site, machine_id

    def sh(self, command: str) -> str:
        result = self.machine.run(command, deadline=DEADLINE)
        assert result.status == 0, result.text
        return result.text

    def begin(self, ring: str) -> None:
        self.sh(SERVE)
        self.machine.put("/etc/suture/root.json", self.site.root)
        self.machine.put("/etc/suture/follow.toml", FOLLOWED.format(ring=ring).encode())
        self.machine.put("/etc/machine-id", self.machine_id.encode())
        self.sh("chmod 755 / && chmod -R go-w /etc /var")

    def upload(self) -> None:
        """Bring what is published to the guest's web server."""
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w") as archive:
            for name in ("metadata", "targets"):
                archive.add(self.site.path / name, name)
        self.machine.put("/srv/repository.tar", held.getvalue())
        self.sh("cd /srv/repository && tar -xf ../repository.tar")

    def follow(self, status: int = 0) -> Any:
        """Run it, and return its document."""
        self.upload()
        result = self.machine.run(f"sutures {shlex.quote('follow run --json')}", deadline=DEADLINE)
        assert result.status == 0, result.text
        ((got, out, err),) = json.loads(result.text.splitlines()[-1])
        assert got == status, (out, err)
        return json.loads(out)

    def in_force(self) -> list[str]:
        """What the kernel says."""
        shown = self.sh("ls /sys/kernel/livepatch; cat /proc/cmdline").split()
        names = [name for name in shown if name.startswith("fix_")]
        assert names in ([], [shown[0], shown[0]]), "the code runs that sysfs names"
        return names[:1]


@pytest.fixture
def followers(workspace: Workspace, tmp_path: Path) -> Iterator[tuple[Site, list[Follower]]]:
    release = workspace.target.release
    site = Site.make(tmp_path / "site", release)
    built = modules.build(workspace, tmp_path, SOURCES, ())
    for name in SOURCES:
        site.publish(built[name])
    files = runtime.files(*NEEDED)
    with ExitStack() as stack:
        found = []
        for number, ring in enumerate(("canary", "all", "all")):
            machine = stack.enter_context(Machine.boot(workspace.target, files=files, memory=1024))
            found.append(Follower(machine, site, f"{number:032x}"))
            found[-1].begin(ring)
        yield site, found
        assert all(one.machine.complaints() == () for one in found)


@pytest.mark.make_test_takes("6.1")
def test_three_hosts_in_two_rings(followers: tuple[Site, list[Follower]]) -> None:
    site, (canary, second, third) = followers
    both = (second, third)

    site.promote("fix_one", "canary")
    assert canary.follow()["loaded"] == "fix_one"
    assert second.follow()["loaded"] == ""
    assert (canary.in_force(), second.in_force()) == (["fix_one"], [])

    # Half of the ring, halted before the other half follows.
    salt = next(
        str(number)
        for number in count()
        if place(second.machine_id, str(number)) < 5_000 <= place(third.machine_id, str(number))
    )
    site.promote("fix_one", "all", share=5_000, salt=salt)
    assert second.follow()["loaded"] == "fix_one"
    assert third.follow()["report"]["waits"] == "share"
    site.promote("fix_one", "all", salt=salt)
    site.halt(ring="all")
    assert third.follow()["report"]["waits"] == "halted"
    assert (second.in_force(), third.in_force()) == (["fix_one"], [])
    site.halt(False, "all")
    assert third.follow()["loaded"] == "fix_one"

    # The next one replaces it, and is withdrawn.
    for ring in ("canary", "all"):
        site.promote("fix_two", ring)
    assert [one.follow()["loaded"] for one in (canary, *both)] == ["fix_two"] * 3
    assert [one.in_force() for one in (canary, *both)] == [["fix_two"]] * 3
    site.withdraw("fix_two")
    assert [one.follow()["loaded"] for one in (canary, *both)] == ["fix_one"] * 3
    assert [one.in_force() for one in (canary, *both)] == [["fix_one"]] * 3

    # The canary goes back to the kernel's own code; a key of root is lost meanwhile.
    site.promote(None, "canary")
    change = RoleChange(add=(site.public("other"),), remove=(site.public("root3").keyid,))
    roles.propose(site.tree, "root", change)
    done = roles.sign_staged(site.tree, site.signers("root1", "root2", "other", "online"))
    assert done.published["root"] == 2
    assert canary.follow()["unloaded"] == ["fix_one"]
    assert canary.in_force() == []
    site.promote("fix_one", "canary")
    assert canary.follow()["loaded"] == "fix_one"
    assert canary.in_force() == ["fix_one"]
    shown = json.loads(canary.sh("suture status --json"))
    assert (shown["verdict"], shown["following"]["last"]["offered"]) == ("ok", "fix_one")


def run(machine: Machine, *commands: str) -> str:
    result = machine.run("\n".join(("set -e", *commands)), deadline=DEADLINE)
    assert result.status == 0, result.text
    return result.text


@pytest.fixture
def system(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    image = installed.image("follow")
    monkeypatch.setattr(installed, "image", lambda: image)
    with System.make(workspace.target) as made:
        yield made


def an_administrator_has_a_say(machine: Machine) -> None:
    """Hold, pin, resume and reset, each as 'suture status' shows it."""
    held = run(machine, "suture follow hold --reason 'a fair' >&2; suture status")
    assert "On hold since" in held
    assert "a fair" in held
    assert json.loads(run(machine, "suture follow run --json"))["report"]["waits"] == "held"
    run(machine, "suture follow resume; suture follow pin fix-one")
    assert "Pinned at fix_one" in run(machine, "suture status")
    run(machine, "suture follow resume; suture follow reset; suture follow run")
    assert machine.run("suture follow pin", deadline=DEADLINE).status == 2
    wrong = machine.run(
        "suture follow setup ftp://x --ring canary --root /etc/suture/root.json --json",
        deadline=DEADLINE,
    )
    assert json.loads(wrong.text)["error"]["code"] == "follow-settings-wrong"


def a_package_installs_it(machine: Machine, site: Site, module: bytes) -> None:
    """And removes it again; what it carries is installed by the host's own Suture."""
    site.publish(module)
    made = wrap(site.tree, site.release, "fix_two", site.path, "Lab <lab@example.org>")
    machine.put("/srv/fix.deb", made.read_bytes())
    run(machine, "dpkg --force-depends -i /srv/fix.deb")
    listed = json.loads(run(machine, "suture store list --json"))
    assert {one["entry"]["name"] for one in listed} == {"fix_one", "fix_two"}
    run(machine, f"dpkg --force-depends -r {made.name.partition('_')[0]}")
    listed = json.loads(run(machine, "suture store list --json"))
    assert [one["entry"]["name"] for one in listed] == ["fix_one"]


def in_force(machine: Machine) -> Sequence[str]:
    return run(machine, "ls /sys/kernel/livepatch").split()


@pytest.mark.make_test_takes("6.1")
@pytest.mark.only_in_test_all
def test_a_host_follows_from_its_timer_and_over_a_reboot(
    system: System, workspace: Workspace, tmp_path: Path
) -> None:
    site = Site.make(tmp_path / "site", workspace.target.release)
    built = modules.build(workspace, tmp_path, SOURCES, ())
    site.publish(built["fix_one"])
    site.promote("fix_one")
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        archive.add(site.path, "repository")
    files = {"/srv/repository.tar": held.getvalue()}
    with system.boot(files=files) as machine:
        run(
            machine,
            "cd /srv && tar -xf repository.tar --no-same-owner",
            "suture follow setup file:///srv/repository --ring canary "
            "--root /srv/repository/metadata/1.root.json",
            f"systemctl is-enabled {FOLLOW}",
            "systemctl start suture-follow.service",
        )
        assert in_force(machine) == ["fix_one"]
        shown = json.loads(run(machine, "suture status --json"))
        assert (shown["verdict"], shown["following"]["ring"]) == ("ok", "canary")
        assert "suture_follow_ok 1" in run(
            machine, "suture status --prometheus /tmp/x.prom; cat /tmp/x.prom"
        )
        an_administrator_has_a_say(machine)
        a_package_installs_it(machine, site, built["fix_two"])
        machine.power_off(deadline=DEADLINE)
    with system.boot() as machine:
        assert in_force(machine) == ["fix_one"], "boots load what was installed"
        run(machine, "rm -r /srv/repository")
        failed = machine.run("suture follow run --json", deadline=DEADLINE)
        assert failed.status == 1
        assert json.loads(failed.text)["errors"][0]["code"] == "repository-unreachable"
        assert machine.run("suture status --check", deadline=DEADLINE).status == 10
        assert in_force(machine) == ["fix_one"]
        assert machine.complaints() == ()
