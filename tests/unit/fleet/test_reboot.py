# SPDX-License-Identifier: GPL-2.0-or-later
"""A host reboots in its turn, and whatever happens to it, it gives back what it has."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from suture.core import hooks, running
from suture.core.status import Verdict
from suture.errors import COMMAND_FAILED, Refusal
from suture.fleet import identity
from suture.fleet.lock_client import LockClient
from suture.fleet.reboot import STEADY_UNIT, Programs, ask_kured, reboot, steady
from suture.fleet.slots import RebootSlots
from suture.fleet.sqlite import SqliteState
from suture.fleet.turn import RebootTurn, TurnFile
from suture.host import deployment
from tests.examples import shows
from tests.servers import free_port
from tests.unit.fleet.test_lock_server import served

HOST = "975228d46dc94622b9bbe16671e2b58d"


@pytest.fixture
def slots(tmp_path: Path) -> RebootSlots:
    found = RebootSlots(SqliteState(tmp_path / "state.db"))
    found.set_slots("default", 1)
    return found


@pytest.fixture
def turn(slots: RebootSlots) -> Iterator[RebootTurn]:
    with served(slots.state) as address:
        yield RebootTurn(f"http://{address}", "default", HOST, running.boot_id())


@pytest.fixture
def turns(tmp_path: Path) -> TurnFile:
    (tmp_path / "lib").mkdir()
    return TurnFile(tmp_path / "lib", anchor=tmp_path, owner=os.getuid())


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    anchor = tmp_path / "etc"
    anchor.mkdir()
    return partial(hooks.run_hooks, directory=anchor, anchor=anchor, owner=os.getuid())


def program(tmp_path: Path, event: str, text: str) -> None:
    path = tmp_path / "etc" / event / "10-program"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def holders(slots: RebootSlots) -> tuple[str, ...]:
    return slots.groups()["default"].holders


def all_well() -> Verdict:
    return Verdict.OK


def after_the_boot(turns: TurnFile) -> None:
    """What another boot ID would bring about."""
    turn = turns.read()
    assert turn is not None
    turns.write(replace(turn, boot="the one before"))


def test_a_turn_from_slot_to_slot(
    turn: RebootTurn, turns: TurnFile, slots: RebootSlots, programs: Programs, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    program(tmp_path, "drain", f"cat >{said}")
    order: list[str] = []

    def restart() -> None:
        order.append(f"restart with {holders(slots)}, drained: {said.exists()}")

    reboot(turn, restart, turns=turns, programs=programs)
    assert order == [f"restart with ('{HOST}',), drained: True"]
    assert f'"id": "{HOST}"' in said.read_text()
    with pytest.raises(Refusal, match="host-not-steady"):  # the boot is the same yet
        steady(turns=turns, programs=programs, verdict=all_well)
    after_the_boot(turns)
    assert holders(slots) == (HOST,)
    assert steady(turns=turns, programs=programs, verdict=all_well) is not None
    assert holders(slots) == ()
    assert steady(turns=turns, programs=programs, verdict=all_well) is None


def test_a_host_that_is_not_well_keeps_its_slot(
    turn: RebootTurn, turns: TurnFile, slots: RebootSlots, programs: Programs, tmp_path: Path
) -> None:
    reboot(turn, lambda: None, turns=turns, programs=programs)
    after_the_boot(turns)
    with pytest.raises(Refusal, match="host-not-steady") as caught:
        steady(turns=turns, programs=programs, verdict=lambda: Verdict.UNPROTECTED)
    shows(caught.value, "host-not-steady")
    program(tmp_path, "steady", "echo the database is not in step yet; exit 1")
    with pytest.raises(Refusal, match="host-not-steady") as caught:
        steady(turns=turns, programs=programs, verdict=all_well)
    assert caught.value.evidence == ("the database is not in step yet",)
    assert holders(slots) == (HOST,)
    program(tmp_path, "steady", "exit 0")
    steady(turns=turns, programs=programs, verdict=all_well)
    assert holders(slots) == ()


def test_a_program_that_refuses_gives_the_slot_back(
    turn: RebootTurn, turns: TurnFile, slots: RebootSlots, programs: Programs, tmp_path: Path
) -> None:
    program(tmp_path, "drain", "echo this is the last replica; exit 3")
    with pytest.raises(Refusal, match="drain-refused") as caught:
        reboot(turn, never, turns=turns, programs=programs)
    assert caught.value.evidence == ("this is the last replica",)
    caught.value.where = "/etc/suture/hooks.d/drain/10-program"
    shows(caught.value, "drain-refused")
    assert holders(slots) == ()
    assert turns.read() is None


def never() -> None:
    raise AssertionError("it was not this host's turn")


def test_without_a_slot_nothing_is_rebooted(
    turn: RebootTurn, turns: TurnFile, slots: RebootSlots, programs: Programs
) -> None:
    slots.take("default", "other")
    with pytest.raises(Refusal, match="slot-refused"):
        reboot(turn, never, turns=turns, programs=programs)
    assert turns.read() is None
    assert holders(slots) == ("other",)


def test_a_host_waits_for_its_turn(
    turn: RebootTurn,
    turns: TurnFile,
    slots: RebootSlots,
    programs: Programs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("suture.fleet.lock_client.FIRST_PAUSE", 0.01)
    slots.take("default", "other")
    said: list[str] = []

    def log(line: str) -> None:
        said.append(line)
        slots.give_back("default", "other")

    reboot(turn, lambda: said.append("restart"), wait=60, log=log, turns=turns, programs=programs)
    assert said[-1] == "restart"
    assert "failed_lock_semaphore_full" in said[0]
    assert holders(slots) == (HOST,)


def test_a_reboot_that_fails_gives_the_slot_back(
    turn: RebootTurn, turns: TurnFile, slots: RebootSlots, programs: Programs
) -> None:
    def restart() -> None:
        raise Refusal(COMMAND_FAILED, "systemctl", "exited with status 1")

    with pytest.raises(Refusal, match="command-failed"):
        reboot(turn, restart, turns=turns, programs=programs)
    assert holders(slots) == ()


def test_an_interrupt_gives_the_slot_back(
    turn: RebootTurn, turns: TurnFile, slots: RebootSlots, programs: Programs
) -> None:
    def restart() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reboot(turn, restart, turns=turns, programs=programs)
    assert holders(slots) == ()


def test_a_server_that_is_away_is_asked_again_after_the_boot(
    turns: TurnFile, programs: Programs, slots: RebootSlots
) -> None:
    """Its answer may have been lost, and the slot taken all the same."""
    turn = RebootTurn(f"http://127.0.0.1:{free_port()}", "default", HOST, running.boot_id())
    with pytest.raises(Refusal, match="lock-server-unreachable") as caught:
        reboot(turn, never, turns=turns, programs=programs)
    caught.value.where = "https://lock.example.com"
    shows(caught.value, "lock-server-unreachable")
    slots.take("default", HOST)
    with served(slots.state) as address:
        turns.write(replace(turn, server=f"http://{address}"))
        assert steady(without_reboot=True, turns=turns, programs=programs, verdict=all_well)
    assert holders(slots) == ()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"server": 1}', b"\xff"])
def test_a_damaged_turn(turns: TurnFile, content: bytes) -> None:
    turns.path.write_bytes(content)
    with pytest.raises(Refusal, match="store-damaged"):
        steady(turns=turns)


def test_a_turn_that_others_can_write_is_not_believed(turns: TurnFile, turn: RebootTurn) -> None:
    turns.write(turn)
    turns.path.chmod(0o666)
    with pytest.raises(Refusal, match="path-untrusted"):
        steady(turns=turns)


def test_other_servers_errors_are_shown(turn: RebootTurn) -> None:
    with pytest.raises(Refusal, match="slot-refused") as caught:
        LockClient(f"{turn.server}/base/", "default", HOST).pre_reboot()
    assert "there is nothing here (not_found)" in str(caught.value)


@pytest.mark.skipif(shutil.which("systemd-id128") is None, reason="this host has no systemd")
def test_the_name_of_a_host_is_zincatis() -> None:
    """Against systemd's own reckoning, of this machine."""
    application = f"--app-specific={identity.ZINCATI.hex()}"
    command = ["systemd-id128", "machine-id", application]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("this machine has no machine ID")
    assert identity.this_host() == done.stdout.strip()


def test_a_host_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for content in ("", "uninitialized\n", "0123"):
        (tmp_path / "etc/machine-id").write_text(content)
        with pytest.raises(Refusal, match="file-unreadable"):
            identity.this_host(tmp_path)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this host has no systemd")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "suture-steady.service"
    unit.write_text(deployment.this().fill(STEADY_UNIT))
    verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert "suture-steady" not in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="/run is root's")
def test_kured_is_asked(tmp_path: Path) -> None:
    sentinel = Path("/run") / f"suture-test-{os.getpid()}"
    try:
        ask_kured(sentinel)
        assert sentinel.read_text().startswith("*** System restart required")
    finally:
        sentinel.unlink(missing_ok=True)
