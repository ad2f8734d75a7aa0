# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch handed out works on after it is unloaded or replaced, in a kernel of each
series."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.inputs import Choices
from suture.lab.machine import Machine
from suture.workspace.prepare import Workspace
from tests.lab import runtime
from tests.lab.host import Host
from tests.patches import Edit, diff
from tests.staying import GO, NOTIFIER, OPEN, TABLE, TIMER

ROUNDS = int(os.environ.get("SUTURE_STAYING_ROUNDS", "3"))
"""How often a live patch that stays is loaded again; ``make test-all`` does a hundred."""

PATCHES: dict[str, tuple[Edit, ...]] = {
    "lp_stays": (*TIMER, *OPEN),
    "lp_heard": NOTIFIER,
    "lp_plain": GO["helper"],
    "lp_table": TABLE,
    "lp_other": (*TABLE, *GO["helper"]),
}
DATA = {"lp_table": "dummy_netdev_ops", "lp_other": "dummy_netdev_ops"}
"""Variables that change in memory."""

OPENED = """(exec 5</proc/self/fdinfo/1; echo >/tmp/opened
while ! [ -e /tmp/unloaded ]; do sleep 0.1; done; head -n 1 <&5 >/tmp/read.new
mv /tmp/read.new /tmp/read) >/dev/null 2>&1 &
while ! [ -e /tmp/opened ]; do sleep 0.1; done"""
"""Opens a file, and reads it when it is told that the live patch is out of force."""

READ = "touch /tmp/unloaded; while ! [ -e /tmp/read ]; do sleep 0.1; done; cat /tmp/read"


@pytest.fixture(scope="module")
def host(each_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    directory: Path = tmp_path_factory.mktemp("stays")
    files = runtime.files()
    for name, edits in PATCHES.items():
        patch = directory / f"{name}.patch"
        patch.write_text(diff(each_workspace.tree, *edits))
        choices = Choices(frozenset({DATA[name]} if name in DATA else ()))
        made = build([patch], each_workspace.target, name=name, choices=choices)
        files[f"/lp/{name}.ko"] = made.data
    target = each_workspace.target
    with Machine.boot(target, files=files, modules=["dummy"], memory=1024) as machine:
        host = Host(machine)
        yield host
        assert machine.complaints() == ()


def ticks(host: Host) -> int:
    return int(host.sh("dmesg | grep -c 'suture: tick'; true"))


def heard(host: Host) -> int:
    host.sh("ip link set lo down; ip link set lo up")
    return int(host.sh("dmesg | grep -c 'suture: heard'; true"))


@pytest.mark.make_test_takes("6.1")
def test_a_timer_and_an_open_file_outlive_unloading(host: Host) -> None:
    (loaded,) = host.suture("load /lp/lp_stays.ko")
    assert "stays in memory until the reboot: seq_fdinfo_open() passes seq_show_adv()" in loaded.out
    host.sh("cat /proc/version")
    host.sh(OPENED)
    in_force, info, listed = host.suture("status --json", "info lp_stays", "list")
    (item,) = in_force.document["patches"]
    assert any("seq_show_adv()" in reason for reason in item["stays"])
    assert "stays in memory" in info.out
    assert "in force, stays in memory" in listed.out
    unloaded, status, people, again, checked = host.suture(
        "unload lp_stays", "status --json", "status", "unload lp_stays", "status --check"
    )
    assert unloaded.out.startswith("lp_stays is out of force: all tasks run the kernel's own code")
    assert "Its module stays in memory until the reboot: " in unloaded.out
    assert [one["name"] for one in status.document["staying"]] == ["lp_stays"]
    assert (status.document["verdict"], status.document["left_over"]) == ("ok", [])
    assert "Out of force, and in memory until the reboot:" in people.out
    assert again.is_refused("patch-not-loaded", "its module stays in memory until the reboot")
    assert checked.status == 0
    assert host.loaded() == ["lp_stays"], "a module, and no live patch in the core"
    before = ticks(host)
    assert host.sh(READ) == "adv\n"
    host.sh("sleep 3")
    assert ticks(host) > before


@pytest.mark.make_test_takes("6.1")
def test_it_is_loaded_again_under_another_name(host: Host) -> None:
    for number in range(2, 2 + ROUNDS):
        name = f"lp_stays_{number}"
        loaded, twice, status, info, unloaded = host.suture(
            "load /lp/lp_stays.ko --json",
            "load /lp/lp_stays.ko",
            "status --json",
            "info lp_stays",
            "unload lp_stays --json",
        )
        assert (loaded.document["name"], loaded.document["live_patch"]) == (name, "lp_stays")
        assert twice.is_refused("already-loaded", f"is loaded as {name}")
        (item,) = status.document["patches"]
        assert (item["patch"]["name"], item["live_patch"]) == (name, "lp_stays")
        assert item["loading"]["file"] == "/lp/lp_stays.ko"
        assert info.out.startswith(name)
        assert unloaded.document["name"] == name
    loads = [f"lp_stays_{number}" for number in range(2, 2 + ROUNDS)]
    assert host.loaded() == sorted(["lp_stays", *loads])
    (log,) = host.suture("log --patch lp_stays --lines 0 --json")
    assert len(log.document["records"]) == 4 * (1 + ROUNDS)
    before = ticks(host)
    host.sh("sleep 2")
    assert ticks(host) > before


@pytest.mark.make_test_takes("6.1")
def test_a_notifier_outlives_its_replacement(host: Host) -> None:
    host.suture("load /lp/lp_heard.ko")
    host.sh("cat /proc/version")
    first = heard(host)
    assert first
    (replaced,) = host.suture("load /lp/lp_plain.ko --replace")
    assert "It replaced lp_heard, now out of force and in memory until the reboot." in replaced.out
    assert heard(host) > first
    for number in range(2, 2 + ROUNDS):
        if number > 2:
            host.suture("load /lp/lp_plain.ko --replace")
        again, status = host.suture("load /lp/lp_heard.ko --replace --json", "status --json")
        assert (again.document["name"], again.document["replaced"]) == (
            f"lp_heard_{number}",
            ["lp_plain"],
        )
        assert "lp_plain" not in host.loaded(), "a plain one is gone"
    heards = ["lp_heard", *(f"lp_heard_{number}" for number in range(2, 1 + ROUNDS))]
    assert set(heards) <= {one["name"] for one in status.document["staying"]}
    second = heard(host)
    assert heard(host) > second
    (recovered,) = host.suture("recover --json")
    assert recovered.document["kept"] == []
    host.suture("unload lp_heard")


def carried(host: Host) -> int:
    host.sh("echo 1 >/sys/class/net/dummy0/carrier")
    return int(host.sh("dmesg | grep -c 'suture: carrier'; true"))


def test_a_table_leads_to_a_new_function_until_it_is_unloaded(host: Host) -> None:
    host.sh("modprobe dummy; ip link set dummy0 up")
    assert carried(host) == 0
    (loaded,) = host.suture("load /lp/lp_table.ko")
    assert "dummy_netdev_ops points to suture_carrier()" in loaded.out
    assert carried(host) == 1
    (other,) = host.suture("load /lp/lp_other.ko --json")
    assert (other.document["replaced"], other.document["staying"]) == (["lp_table"], ["lp_table"])
    assert carried(host) == 2, "of the successor"
    (again,) = host.suture("load /lp/lp_table.ko --replace --json")
    assert (again.document["name"], again.document["replaced"]) == ("lp_table_2", ["lp_other"])
    assert carried(host) == 3
    (unloaded,) = host.suture("unload lp_table --json")
    assert unloaded.document["name"] == "lp_table_2"
    assert carried(host) == 3, "the kernel's own function is called again"
    host.sh("rmmod dummy; modprobe dummy; ip link set dummy0 up")
    assert carried(host) == 3
