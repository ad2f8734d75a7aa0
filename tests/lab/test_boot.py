# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches across reboots, in a small real Debian with systemd: found again, gone again, and
never in the way."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from suture.core.initramfs.fill import INSIDE
from suture.errors import Refusal
from suture.lab.machine import Machine
from suture.lab.system import System
from suture.module import sign
from suture.module.sign import KeyPair, Signer
from suture.workspace.prepare import Workspace
from tests.lab import initramfs_tools, modules, runtime
from tests.lab.points import EVERY, injected

DEADLINE = 300.0
"""Seconds for a step in a guest on a busy machine."""

PANIC = modules.live_patch(
    modules.shows("panic")
    + """
static int die(struct klp_object *obj) { panic("lp_panic was loaded"); return 0; }
""",
    {"version_proc_show": "new_code"},
    callbacks=".pre_patch = die",
)

NAMES = ("lp_one", "lp_two", "lp_none")
"""``lp_one`` changes /proc/cmdline and ``lp_two`` /proc/version; what ``lp_none`` replaces is
nowhere."""

HERE = Path(__file__).parent

INJECT = {"inject.py": "inject.py", "tests/lab/killing.py": "killing.py"}

LOADED = "cd /sys/kernel/livepatch && ls"

DAMAGE = """
import contextlib, io, json, os, pathlib, shutil
from suture.core import boot
from suture.core.store import Store
store, release = Store(), os.uname().release
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
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = boot.main([])
    found[name] = [status, said.getvalue(), sorted(os.listdir("/sys/kernel/livepatch"))]
    shutil.rmtree(place)
    shutil.copytree("/root/kept", place), shutil.rmtree("/root/kept")
    elsewhere.unlink(missing_ok=True)
print(json.dumps(found))
"""

CONFIRMED = {"failed": 0, "reason": "", "boot": "", "loading": False, "good": True}
"""The boot came up, and nothing is held against the live patch."""

CODES = {
    "module cut off": "store-damaged",
    "module of another": "store-damaged",
    "manifest cut off": "store-damaged",
    "module another user's": "path-untrusted",
    "manifest for all to write": "path-untrusted",
    "module a link": "path-untrusted",
    "directory for all to write": "path-untrusted",
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return sign.new_key(tmp_path_factory.mktemp("key"), "lab", "Signer of the lab")


@pytest.fixture
def built(each_workspace: Workspace, tmp_path: Path, pair: KeyPair) -> dict[str, bytes]:
    sources = {name: modules.SOURCES[name] for name in NAMES} | {"lp_panic": PANIC}
    made = modules.build(each_workspace, tmp_path, sources, ())
    made["signed"] = sign.sign(made["lp_one"], "lp_one.ko", Signer(str(pair.key), pair.certificate))
    return made


@pytest.fixture
def system(each_workspace: Workspace) -> Iterator[System]:
    with System.make(each_workspace.target) as made:
        yield made


@pytest.mark.make_test_takes("6.1")
def test_across_reboots(system: System, built: dict[str, bytes], pair: KeyPair) -> None:
    """Installed and found after a loss of power; on 6.1 with bad ones beside it, and gone when
    uninstalled."""
    full = system.target.release.startswith("6.1.")
    files = {f"/lp/{name}.ko": module for name, module in built.items()}
    files |= {
        "/lp/several.py": runtime.SEVERAL.encode(),
        "/lp/lab.pem": pair.certificate.read_bytes(),
    }
    files |= {f"/lp/{name}": (HERE / place).read_bytes() for name, place in INJECT.items()}
    if not full:
        files |= initramfs_tools.files(system.target)
    with system.boot(modules=["loop"], files=files) as machine:
        assert sh(machine, "cat /proc/1/comm; uname -r").split() == [
            "systemd",
            system.target.release,
        ]
        # What the test itself put there is to outlive the loss of power; what 'suture install'
        # writes, it sees to.
        assert sh(machine, "suture --version; modprobe loop; sync").startswith("suture ")
        if EVERY:
            killed_at_any_change_it_is_kept_or_not(machine)
        also = (
            ("install /lp/lp_panic.ko", "install /lp/lp_none.ko")
            if full
            else ("install /lp/lp_two.ko",)
        )
        suture(machine, "install /lp/lp_one.ko", *also)
        assert loaded(machine) == []
        names = ["lp_none", "lp_one", "lp_panic"] if full else ["lp_one", "lp_two"]
        assert drift(machine) == dict.fromkeys(names, "not-loaded")
        assert offered(machine, "suture disable lp") == names
        # No power_off: what 'suture install' said is done has to be on the disk.
    if full:
        for _ in range(2):
            with pytest.raises(Refusal) as refusal:
                system.boot().power_off()
            assert refusal.value.code == "lab-boot-failed"
            assert "lp_panic was loaded" in refusal.value.found
    with system.boot() as machine:
        is_loaded_before_the_network(machine, "lp_one", others_fail=full)
        assert offered(machine, "suture unload lp_") == loaded(machine)
        image = b"" if full else image_of_initramfs_tools(machine)
        if full:
            bad_ones_are_set_aside(machine)
            damaged_entries_are_not_loaded(machine)
            a_full_disk_and_one_that_cannot_be_written_change_nothing(machine)
        before = loaded(machine)
        suture(machine, "uninstall lp_one", "install /lp/lp_two.ko")
        assert loaded(machine) == before, "what is loaded is left alone"
        assert drift(machine) == {"lp_one": "not-kept"} | ({"lp_two": "not-loaded"} if full else {})
        machine.power_off(deadline=DEADLINE)
    if not full:
        with system.start(
            initramfs_tools.with_agent(image), cmdline_extra="root=/dev/vda rw"
        ) as machine:
            is_loaded_before_the_root_is_mounted(machine, "lp_two")
            assert loaded(machine) == ["lp_one", "lp_two"], (
                "the image knows of no uninstalling until it is made again"
            )
            assert drift(machine) == {"lp_one": "not-kept"}
            assert machine.complaints() == ()
    if full:
        with system.boot(cmdline_extra="suture.disable=1 module.sig_enforce=1") as machine:
            assert loaded(machine) == []
            assert sh(machine, "systemctl show -p ConditionResult --value suture.service") == "no\n"
            assert "suture.disable" in sh(machine, "python3 -I -m suture.core.boot")
            the_kernel_and_we_take_signatures_seriously(machine)
            machine.power_off(deadline=DEADLINE)
        with system.boot() as machine:
            assert loaded(machine) == ["lp_two"]
            assert not sh(machine, "cat /proc/cmdline").startswith("one")
            assert drift(machine) == {}
            assert machine.complaints() == ()


def killed_at_any_change_it_is_kept_or_not(machine: Machine) -> None:
    """And the same command, given again, does all that was left to do: also the units of systemd's.

    That takes an hour; `tests/unit/core/test_store.py` kills at each change of the store.
    """
    rows = injected(
        lambda line: sh(machine, line), "python3 /lp/inject.py install", "/lp/lp_two.ko"
    )
    assert {row["recovered"] for row in rows} == {"not kept", "kept"}
    assert {"fsync*", "rename*"} <= {row["call"] for row in rows}
    assert {row["interrupted"] for row in rows} == {0, 1}


def is_loaded_before_the_network(machine: Machine, name: str, *, others_fail: bool) -> None:
    sh(machine, "systemctl is-system-running --wait || true")
    assert name in loaded(machine)
    assert sh(machine, "cat /proc/cmdline") == "one\n"
    patched = when(machine, "suture.service", "ExecMainExitTimestampMonotonic")
    network = when(machine, "systemd-networkd.service", "ExecMainStartTimestampMonotonic")
    assert 0 < patched < network
    status = sh(machine, "systemctl show -p ExecMainStatus --value suture.service")
    assert status == ("1\n" if others_fail else "0\n")
    assert kept(machine)[name]["boot"] == CONFIRMED


def is_loaded_before_the_root_is_mounted(machine: Machine, name: str) -> None:
    """By the initramfs; suture.service takes it for what it is, and the boot is confirmed for it
    too."""
    sh(machine, "systemctl is-system-running --wait || true")
    log = machine.kernel_log()
    assert log.index(f"livepatch: enabling patch '{name}'") < log.index("EXT4-fs (vda): mounted")
    assert kept(machine)[name]["boot"] == CONFIRMED


def image_of_initramfs_tools(machine: Machine) -> bytes:
    """Debian's own tools make it, with the hook in place; lsinitramfs shows what came of that."""
    suture(machine, "store initramfs")
    made = machine.run("mkinitramfs -o /root/initrd $(uname -r) 2>&1", deadline=DEADLINE)
    assert made.status == 0, made.text
    listed = sh(machine, "lsinitramfs /root/initrd").split()
    wanted = {f"{INSIDE}/0000-lp_one.ko", f"{INSIDE}/0001-lp_two.ko"}
    assert wanted | {"scripts/init-premount/suture", "usr/sbin/insmod"} <= set(listed), made.text
    return machine.run("cat /root/initrd", deadline=DEADLINE).output


def bad_ones_are_set_aside(machine: Machine) -> None:
    found = kept(machine)
    assert found["lp_panic"]["set_aside"]
    assert "did not complete" in found["lp_panic"]["boot"]["reason"]
    assert [found[name]["boot"]["failed"] for name in NAMES if name in found] == [0, 1]
    assert "kernel-lacks-symbol" in found["lp_none"]["boot"]["reason"]
    assert machine.run("systemctl restart suture", deadline=DEADLINE).status != 0
    refused(machine, ("store check", "", ""))
    found = kept(machine)
    assert [name for name in found if found[name]["set_aside"]] == ["lp_panic", "lp_none"]
    assert drift(machine) == dict.fromkeys(("lp_panic", "lp_none"), "set-aside")
    log = sh(machine, "journalctl -b -u suture --no-pager -o cat")
    assert "lp_panic: set aside" in log
    assert "error[set-aside]" in log


def damaged_entries_are_not_loaded(machine: Machine) -> None:
    """Nor is a wrong clock a reason not to load one that is whole."""
    suture(machine, "uninstall lp_panic", "uninstall lp_none", "unload lp_one")
    machine.put("/root/damage.py", DAMAGE.encode())
    found = json.loads(sh(machine, "date -s 1999-01-01 >/dev/null; python3 -I /root/damage.py"))
    assert found.keys() == CODES.keys()
    for damage, (status, said, there) in found.items():
        assert (status, there) == (1, []), damage
        assert f"error[{CODES[damage]}]" in said, damage
    assert sh(machine, "date +%Y; python3 -I -m suture.core.boot").startswith(
        "1999\nlp_one: in force"
    )
    assert loaded(machine) == ["lp_one"]


def a_full_disk_and_one_that_cannot_be_written_change_nothing(machine: Machine) -> None:
    everything = (
        "cd /var/lib/suture && find . -name '*.json' -o -name '*.ko' | sort | xargs sha256sum"
    )
    before = sh(machine, everything)
    sh(machine, "mount -t tmpfs -o size=80k,mode=755 small /var/lib/suture")
    refused(machine, ("install /lp/lp_two.ko --no-journal", "store-unwritable", "No space left"))
    assert sh(machine, "find /var/lib/suture -type f; umount /var/lib/suture") == ""
    sh(
        machine,
        "mount --bind /var/lib/suture /var/lib/suture && mount -o remount,bind,ro /var/lib/suture",
    )
    refused(
        machine,
        ("install /lp/lp_two.ko", "journal-unwritable", "Read-only"),
        ("install /lp/lp_two.ko --no-journal", "store-unwritable", "Read-only"),
        ("uninstall lp_one --no-journal", "store-unwritable", "Read-only"),
        ("disable lp_one --no-journal", "store-unwritable", "Read-only"),
    )
    suture(machine, "unload lp_one --no-journal")
    boot = machine.run("python3 -I -m suture.core.boot", deadline=DEADLINE)
    assert (boot.status, loaded(machine)) == (1, [])
    assert "error[store-unwritable]" in boot.text
    sh(machine, "umount /var/lib/suture")
    suture(machine, "load lp_one")
    assert before == sh(machine, everything)


def the_kernel_and_we_take_signatures_seriously(machine: Machine) -> None:
    """It was booted with ``module.sig_enforce=1``, and knows no key of ours."""
    refused(
        machine,
        ("load /lp/lp_one.ko", "signature-required", "has no signature"),
        ("load /lp/signed.ko", "signature-required", "it is signed by Signer of the lab"),
        ("install /lp/lp_one.ko --require-signature", "signature-missing", "no signature"),
        ("install /lp/signed.ko --require-signature", "signature-untrusted", "Signer of the lab"),
    )
    assert sh(machine, "modinfo -F signer /lp/signed.ko") == "Signer of the lab\n"
    sh(machine, "install -D -m 644 /lp/lab.pem /etc/suture/trusted/lab.pem")
    suture(machine, "install /lp/signed.ko --require-signature --disabled", "uninstall lp_one")
    assert loaded(machine) == []


def sh(machine: Machine, command: str) -> str:
    result = machine.run(command, deadline=DEADLINE)
    assert result.status == 0, result.text
    return result.text


def suture(machine: Machine, *lines: str, status: int = 0) -> list[str]:
    """Run command lines in one process; what each printed on stdout."""
    words = " ".join(shlex.quote(line) for line in lines)
    answers = json.loads(sh(machine, f"python3 -I /lp/several.py {words}"))
    for line, (ended, _, err) in zip(lines, answers, strict=True):
        assert ended == status, f"{line}: {err}"
    return [out for _, out, _ in answers]


def refused(machine: Machine, *cases: tuple[str, str, str]) -> None:
    """Each a command line, the code of its refusal ("" for a finding), and what is in what it
    found."""
    said = suture(machine, *(f"{line} --json" for line, _, _ in cases), status=1)
    for (line, code, found), text in zip(cases, said, strict=True):
        document = json.loads(text)
        if code:
            error = document["error"]
            assert (error["code"], found in error["found"] + " ".join(error["evidence"])) == (
                code,
                True,
            ), (line, error)


def kept(machine: Machine) -> dict[str, Any]:
    [text] = suture(machine, "store list --json")
    return {item["entry"]["name"]: item for item in json.loads(text)}


def drift(machine: Machine) -> dict[str, str]:
    """What is not as it is kept, in the order of the names, and what kind it is."""
    check = machine.run("suture status --check --json", deadline=DEADLINE)
    document = json.loads(check.text)
    found = {drifted["name"]: drifted["kind"] for drifted in document["drift"]}
    # A load that a panic cut short is told before it.
    undone = (4, "left-undone") if document["interrupted"] else None
    assert (check.status, document["verdict"]) == (undone or ((6, "drift") if found else (0, "ok")))
    return found


def offered(machine: Machine, line: str) -> list[str]:
    """What a shell offers when TAB is pressed at the end of a line."""
    words = f"COMP_WORDS={shlex.quote(line)} COMP_CWORD={len(line.split()) - 1}"
    answer = sh(machine, f"_SUTURE_COMPLETE=bash_complete {words} suture")
    return sorted(word.removeprefix("plain,") for word in answer.split())


def loaded(machine: Machine) -> list[str]:
    return sh(machine, LOADED).split()


def when(machine: Machine, unit: str, moment: str) -> int:
    """Microseconds since boot."""
    return int(sh(machine, f"systemctl show -p {moment} --value {unit}"))
