# SPDX-License-Identifier: GPL-2.0-or-later
"""Load, list, replace and unload, by ``suture`` as it runs on a host, in a guest of both series."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from suture.lab.machine import Machine
from suture.workspace.prepare import Workspace
from tests.lab import modules, runtime

DEADLINE = 300


@dataclass(frozen=True, slots=True)
class Done:
    """What one command came to."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class Host:
    """A guest with Suture and the modules of `tests.lab.modules` in ``/lp``."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def suture(self, *lines: str) -> list[Done]:
        """Command lines, one after the other in one process."""
        result = self.machine.run(f"sutures {shlex.join(lines)}", deadline=DEADLINE)
        assert result.status == 0, result.text
        return [Done(*done) for done in json.loads(result.text.splitlines()[-1])]

    def sh(self, command: str) -> str:
        result = self.machine.run(command, deadline=DEADLINE)
        assert result.status == 0, result.text
        return result.text

    def loaded(self) -> list[str]:
        """What the kernel says, without Suture: modules with the taint of live patches, and the core's directories."""
        found = self.sh("cd /sys/module; grep -l K */taint 2>/dev/null | cut -d/ -f1; ls /sys/kernel/livepatch; true")
        return sorted(found.split())


@pytest.fixture(scope="session")
def suture_files() -> dict[str, bytes]:
    return runtime.files()


@pytest.fixture(scope="module")
def host(
    suture_files: dict[str, bytes], each_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    built = modules.build(each_workspace, tmp_path_factory.mktemp("modules"))
    files = suture_files | {f"/lp/{name}.ko": module for name, module in built.items()}
    with Machine.boot(each_workspace.target, files=files, memory=1024) as machine:
        host = Host(machine)
        yield host
        assert machine.complaints() == ()
        assert host.loaded() == []


def test_load_list_stack_replace_and_unload(host: Host) -> None:
    one, two, listed, every, after, gone, end = host.suture(
        "load /lp/lp_one.ko --json",
        "load /lp/lp_two.ko --json",
        "list --json",
        "load /lp/lp_all.ko --json",
        "list",
        "unload lp_all",
        "list --json",
    )
    assert (one.document["name"], one.document["replaced"], one.document["recorded"]) == ("lp_one", [], True)
    assert two.status == 0
    assert [patch["name"] for patch in listed.document["patches"]] == ["lp_one", "lp_two"]
    assert all(patch["enabled"] and not patch["transition"] for patch in listed.document["patches"])
    assert listed.document["patches"][0]["objects"][0]["functions"] == [{"name": "cmdline_proc_show", "sympos": 1}]
    assert every.document["replaced"] == ["lp_one", "lp_two"]
    assert every.document["kept"] == []
    assert after.out.splitlines()[1].split() == ["lp_all", "in", "force", "vmlinux:cmdline_proc_show"]
    assert gone.out.startswith("lp_all is gone")
    assert end.document == {"patches": []}
    assert host.loaded() == []


def test_what_stands_in_the_way_is_refused_before_anything_is_changed(host: Host) -> None:
    cases = {
        "load /lp/lp_none.ko": ("symbol-not-found", "vmlinux has no no_such_function"),
        "load /lp/lp_many.ko": ("symbol-not-found", "and the live patch does not say which"),
        "load /lp/holder.ko": ("not-a-live-patch", "livepatch=Y"),
        "load /lp/none": ("file-unreadable", "No such file"),
        "unload lp_one": ("patch-not-loaded", "no live patch of this name"),
    }
    for done, (code, found) in zip(host.suture(*cases), cases.values(), strict=True):
        assert (done.status, done.out) == (1, "")
        assert f"error[{code}]: " in done.err
        assert found in done.err
    assert host.loaded() == []
