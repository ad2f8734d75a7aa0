# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches across reboots, in a small real Debian with systemd: found again, gone again, and never in the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from suture.errors import Refusal
from suture.lab.machine import Machine
from suture.lab.system import System
from suture.workspace.prepare import Workspace
from tests.lab import modules

PANIC = modules.live_patch(
    modules.shows("panic")
    + """
static int die(struct klp_object *obj) { panic("lp_panic was loaded"); return 0; }
""",
    {"version_proc_show": "new_code"},
).replace("{ .funcs = funcs }", "{ .funcs = funcs, .callbacks = { .pre_patch = die } }")

NAMES = ("lp_one", "lp_two", "lp_none")
"""``lp_one`` changes /proc/cmdline and ``lp_two`` /proc/version; what ``lp_none`` replaces is nowhere."""

LOADED = "cd /sys/kernel/livepatch && ls"

DAMAGE = """
import json, os, pathlib, shutil, subprocess, sys
from suture.core.store import Store
from suture.errors import Refusal
store, release, here = Store(), os.uname().release, os.getcwd()
place = store.path / release
entry = store.entry(release, "lp_one")
module, manifest = place / entry.module_file, place / "lp_one.json"
elsewhere = pathlib.Path("/root/elsewhere")

def cut(path): path.write_bytes(path.read_bytes()[:100])
def link(path): path.rename(elsewhere), path.symlink_to(elsewhere)

damages = {
    "module cut off": lambda: cut(module),
    "module of another": lambda: shutil.copyfile("/lp/lp_two.ko", module),
    "manifest cut off": lambda: cut(manifest),
    "module another user's": lambda: os.chown(module, 1000, 0),
    "manifest for all to write": lambda: manifest.chmod(0o666),
    "module a link": lambda: link(module),
    "directory for all to write": lambda: place.chmod(0o777),
}
found = {}
for name, damage in damages.items():
    shutil.copytree(place, "/root/kept")
    damage()
    boot = subprocess.run([sys.executable, "-I", "-m", "suture.core.boot"], capture_output=True, text=True)
    found[name] = [boot.returncode, boot.stderr, sorted(os.listdir("/sys/kernel/livepatch"))]
    shutil.rmtree(place)
    shutil.copytree("/root/kept", place), shutil.rmtree("/root/kept")
    elsewhere.unlink(missing_ok=True)
print(json.dumps(found))
"""

CODES = {
    "module cut off": "store-damaged",
    "module of another": "store-damaged",
    "manifest cut off": "store-damaged",
    "module another user's": "path-untrusted",
    "manifest for all to write": "path-untrusted",
    "module a link": "path-untrusted",
    "directory for all to write": "path-untrusted",
}


@pytest.fixture
def built(each_workspace: Workspace, tmp_path: Path) -> dict[str, bytes]:
    sources = {name: modules.SOURCES[name] for name in NAMES} | {"lp_panic": PANIC}
    return modules.build(each_workspace, tmp_path, sources, ())


@pytest.fixture
def system(each_workspace: Workspace) -> Iterator[System]:
    with System.make(each_workspace.target) as made:
        yield made


def test_across_reboots(system: System, built: dict[str, bytes]) -> None:
    """Installed, found after a loss of power, and gone when uninstalled; on 6.1 with bad ones beside it."""
    full = system.target.release.startswith("6.1.")
    with system.boot(files={f"/lp/{name}.ko": module for name, module in built.items()}) as machine:
        sh(machine, "systemctl start systemd-networkd; suture install /lp/lp_one.ko")
        if full:
            sh(machine, "suture install /lp/lp_panic.ko && suture install /lp/lp_none.ko")
        assert loaded(machine) == []
        # No power_off: what 'suture install' said is done has to be on the disk.
    if full:
        for _ in range(2):
            with pytest.raises(Refusal) as refusal:
                system.boot()
            assert refusal.value.code == "lab-boot-failed"
            assert "lp_panic was loaded" in refusal.value.found
    with system.boot() as machine:
        is_loaded_before_the_network(machine, "lp_one", others_fail=full)
        if full:
            bad_ones_are_set_aside(machine)
            damaged_entries_are_not_loaded(machine)
            a_full_disk_and_one_that_cannot_be_written_change_nothing(machine)
        sh(machine, "suture uninstall lp_one")
        assert loaded(machine) == ["lp_one"], "what is loaded is left alone"
        if full:
            sh(machine, "suture install /lp/lp_two.ko")
        machine.power_off(deadline=300)
    if full:
        with system.boot(cmdline_extra="suture.disable=1 module.sig_enforce=1") as machine:
            assert loaded(machine) == []
            assert "=no" in sh(machine, "systemctl show -p ConditionResult suture.service")
            assert "suture.disable" in sh(machine, "python3 -I -m suture.core.boot")
            the_kernel_takes_signatures_seriously(machine)
            machine.power_off(deadline=300)
    with system.boot() as machine:
        assert loaded(machine) == (["lp_two"] if full else [])
        assert not sh(machine, "cat /proc/cmdline").startswith("one")
        assert machine.complaints() == ()


def is_loaded_before_the_network(machine: Machine, name: str, *, others_fail: bool) -> None:
    sh(machine, "systemctl is-system-running --wait || true")
    assert loaded(machine) == [name]
    assert sh(machine, "cat /proc/cmdline") == "one\n"
    patched = when(machine, "suture.service", "ExecMainExitTimestampMonotonic")
    network = when(machine, "systemd-networkd.service", "ExecMainStartTimestampMonotonic")
    assert 0 < patched < network
    status = sh(machine, "systemctl show -p ExecMainStatus --value suture.service")
    assert status == ("1\n" if others_fail else "0\n")
    # The boot has been confirmed, so nothing is held against it.
    kept = {item["entry"]["name"]: item["boot"] for item in json_of(machine, "suture store list")}
    assert kept[name] == {"failed": 0, "reason": "", "boot": "", "loading": False, "good": True}


def bad_ones_are_set_aside(machine: Machine) -> None:
    kept = {item["entry"]["name"]: item for item in json_of(machine, "suture store list")}
    assert kept["lp_panic"]["set_aside"]
    assert "did not come up" in kept["lp_panic"]["boot"]["reason"]
    assert (kept["lp_none"]["boot"]["failed"], kept["lp_one"]["boot"]["failed"]) == (1, 0)
    assert "symbol-not-found" in kept["lp_none"]["boot"]["reason"]
    assert machine.run("systemctl restart suture").status != 0
    assert {"lp_none", "lp_panic"} == {
        item["error"]["where"] for item in json_of(machine, "suture store check", status=1)
    }
    log = sh(machine, "journalctl -b -u suture --no-pager -o cat")
    assert "lp_panic: set aside" in log
    assert "error[set-aside]" in log


def damaged_entries_are_not_loaded(machine: Machine) -> None:
    """Nor is a wrong clock a reason not to load one that is whole."""
    sh(machine, "suture uninstall lp_panic && suture uninstall lp_none && suture unload lp_one")
    machine.put("/root/damage.py", DAMAGE.encode())
    found = json.loads(sh(machine, "date -s 1999-01-01 >/dev/null; python3 -I /root/damage.py", deadline=300))
    assert found.keys() == CODES.keys()
    for damage, (status, said, there) in found.items():
        assert (status, there) == (1, []), damage
        assert f"error[{CODES[damage]}]" in said, damage
        assert "Traceback" not in said
    assert sh(machine, "date +%Y; python3 -I -m suture.core.boot").startswith("1999\nlp_one: in force")
    assert loaded(machine) == ["lp_one"]


def a_full_disk_and_one_that_cannot_be_written_change_nothing(machine: Machine) -> None:
    before = sh(machine, "cd /var/lib/suture && find . -name '*.json' -o -name '*.ko' | sort | xargs sha256sum")
    sh(machine, "mount -t tmpfs -o size=80k,mode=755 small /var/lib/suture && cp /var/lib/dpkg/status /tmp")
    refused(machine, "suture install /lp/lp_two.ko --no-journal", "store-unwritable", "No space left")
    assert sh(machine, "find /var/lib/suture -type f") == ""
    sh(machine, "umount /var/lib/suture && mount -o remount,ro /")
    refused(machine, "suture install /lp/lp_two.ko", "journal-unwritable", "Read-only")
    refused(machine, "suture install /lp/lp_two.ko --no-journal", "store-unwritable", "Read-only")
    refused(machine, "suture uninstall lp_one --no-journal", "store-unwritable", "Read-only")
    boot = machine.run("suture unload lp_one --no-journal && python3 -I -m suture.core.boot")
    assert boot.status == 1
    assert "error[store-unwritable]" in boot.text
    sh(machine, "mount -o remount,rw / && suture load /lp/lp_one.ko")
    assert before == sh(machine, "cd /var/lib/suture && find . -name '*.json' -o -name '*.ko' | sort | xargs sha256sum")


def the_kernel_takes_signatures_seriously(machine: Machine) -> None:
    """It was booted with ``module.sig_enforce=1``, and knows no key of ours."""
    refused(machine, "suture load /lp/lp_one.ko", "signature-required", "has no signature")
    sh(machine, "cd /root && suture key new --common-name 'Signer of the lab' >/dev/null")
    sh(machine, "cd /root && suture sign /lp/lp_one.ko -o signed.ko --key suture.key --certificate suture.pem")
    assert "Signer of the lab" in sh(machine, "modinfo -F signer /root/signed.ko")
    refused(machine, "suture load /root/signed.ko", "signature-required", "ENOKEY")
    assert loaded(machine) == []
    refused(machine, "suture install /root/signed.ko --require-signature", "signature-untrusted", "Signer of the lab")
    sh(machine, "install -D -m 644 /root/suture.pem /etc/suture/trusted/suture.pem")
    sh(machine, "suture install /root/signed.ko --require-signature --disabled")
    sh(machine, "suture uninstall lp_one")


def sh(machine: Machine, command: str, *, deadline: float = 300) -> str:
    result = machine.run(command, deadline=deadline)
    assert result.status == 0, result.text
    return result.text


def loaded(machine: Machine) -> list[str]:
    return sh(machine, LOADED).split()


def json_of(machine: Machine, command: str, *, status: int = 0) -> Any:
    result = machine.run(f"{command} --json", deadline=300)
    assert result.status == status, result.text
    return json.loads(result.text)


def refused(machine: Machine, command: str, code: str, found: str) -> None:
    result = machine.run(f"{command} --json 2>/dev/null", deadline=300)
    assert result.status == 1, result.text
    error = json.loads(result.text)["error"]
    assert error["code"] == code, error
    assert found in error["found"] + " ".join(error["evidence"])


def when(machine: Machine, unit: str, moment: str) -> int:
    """Microseconds since boot."""
    return int(sh(machine, f"systemctl show -p {moment} --value {unit}"))
