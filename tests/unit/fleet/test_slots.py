# SPDX-License-Identifier: GPL-2.0-or-later
"""Slots in which hosts reboot: never more than there are, whatever is asked for by whom."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from suture.errors import Refusal
from suture.fleet import semaphore
from suture.fleet.etcd import Etcd
from suture.fleet.semaphore import Semaphore
from suture.fleet.slots import RebootSlots
from suture.fleet.sqlite import SqliteState
from suture.fleet.state import ABSENT, SharedState, Versioned
from tests.examples import shows

AIRLOCK = b'{"total_slots":2,"holders":["a","c"]}'
"""As coreos/airlock writes it."""


@pytest.fixture
def slots(state: SharedState) -> RebootSlots:
    return RebootSlots(state)


def test_as_many_reboot_as_there_are_slots(slots: RebootSlots) -> None:
    slots.set_slots("default", 2)
    assert slots.take("default", "one")
    assert slots.take("default", "two")
    with pytest.raises(Refusal, match="slots-taken") as caught:
        slots.take("default", "three")
    assert caught.value.evidence == ("one", "two")
    shows(caught.value, "slots-taken")
    assert not slots.take("default", "one")  # it has one
    assert slots.give_back("default", "two")
    assert not slots.give_back("default", "two")
    assert slots.take("default", "three")
    found = slots.groups()["default"]
    assert found.holders == ("one", "three")
    assert set(found.since) == {"one", "three"}


def test_groups_do_not_know_of_each_other(slots: RebootSlots) -> None:
    slots.set_slots("a", 1)
    slots.set_slots("b", 1)
    assert slots.take("a", "one")
    assert slots.take("b", "one")
    assert slots.give_back("a", "one")
    assert slots.groups()["b"].holders == ("one",)


def test_an_unknown_group(slots: RebootSlots) -> None:
    for ask in (slots.take, slots.give_back):
        with pytest.raises(Refusal, match="group-unknown") as caught:
            ask("workers", "one")
    shows(caught.value, "group-unknown")


def test_fewer_slots_than_holders(slots: RebootSlots) -> None:
    slots.set_slots("default", 2)
    slots.take("default", "one")
    slots.take("default", "two")
    slots.set_slots("default", 1)
    slots.give_back("default", "one")
    with pytest.raises(Refusal, match="slots-taken"):
        slots.take("default", "one")
    slots.give_back("default", "two")
    assert slots.take("default", "one")
    slots.set_slots("default", 0)
    slots.give_back("default", "one")
    with pytest.raises(Refusal, match="slots-taken"):
        slots.take("default", "one")


def test_what_airlock_wrote_is_taken_over(slots: RebootSlots, state: SharedState) -> None:
    state.swap("com.coreos.airlock/groups/default/v1/semaphore", AIRLOCK, ABSENT)
    assert slots.groups() == {"default": Semaphore(2, ("a", "c"))}
    assert slots.give_back("default", "a")
    assert slots.take("default", "b")


def test_airlock_can_read_what_is_written(slots: RebootSlots, etcd_url: str) -> None:
    """Seen with etcdctl: the key, and the names that Go's decoder looks for."""
    state = Etcd([etcd_url])
    RebootSlots(state).set_slots("back", 2)
    RebootSlots(state).take("back", "c")
    RebootSlots(state).take("back", "a")
    key = "com.coreos.airlock/groups/back/v1/semaphore"
    command = ["etcdctl", "--endpoints", etcd_url, "get", "--print-value-only", key]
    done = subprocess.run(
        command, env={"ETCDCTL_API": "3"}, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert (found["total_slots"], found["holders"]) == (2, ["a", "c"])
    assert semaphore.dump(Semaphore(2, ("a", "c"))) == AIRLOCK


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"total_slots":"2","holders":[]}',
        b'{"total_slots":-1,"holders":[]}',
        b'{"total_slots":1,"holders":[1]}',
        b'{"total_slots":1,"holders":["a"],"since":3}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_semaphore_is_left_alone(value: bytes, tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    revision = state.swap(semaphore.key_of("default"), value, ABSENT)
    with pytest.raises(Refusal, match="state-damaged") as caught:
        RebootSlots(state).take("default", "one")
    with pytest.raises(Refusal, match="state-damaged"):
        RebootSlots(state).set_slots("default", 3)
    assert state.get(semaphore.key_of("default")) == Versioned(value, revision or 0)
    shows(caught.value, "state-damaged")


def test_nobody_holds_nothing(tmp_path: Path) -> None:
    """As Go writes a list that was never made."""
    found = semaphore.parse(b'{"total_slots":1,"holders":null}', "key")
    assert found == Semaphore(1)


def test_many_servers_at_once(state: SharedState) -> None:
    """Each host asks another server; those that got a slot are as many as there are."""
    RebootSlots(state).set_slots("default", 5)
    got: list[str] = []

    def ask(number: int) -> None:
        server = RebootSlots(state)
        for host in range(5):
            try:
                if server.take("default", f"{number}-{host}"):
                    got.append(f"{number}-{host}")
            except Refusal as refusal:
                if refusal.code != "slots-taken":
                    raise

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 5
    assert RebootSlots(state).groups()["default"].holders == tuple(sorted(got))


class Interleaved:
    """A store in which somebody else is faster at chosen moments."""

    def __init__(self, state: SharedState) -> None:
        self.state = state
        self.faster: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.state, name)

    def swap(self, key: str, value: bytes, revision: int) -> int | None:
        if self.faster:
            self.faster.pop()()
        return self.state.swap(key, value, revision)


GROUPS = st.sampled_from(["a", "b"])
HOSTS = st.sampled_from(["one", "two", "three", "four", "five"])
NUMBERS = st.integers(0, 3)


class Reboots(RuleBasedStateMachine):
    """Two servers on one store, of which the one acts in the midst of what the other does."""

    state: SharedState

    @initialize()
    def begin(self) -> None:
        for key, found in self.state.under(semaphore.GROUPS).items():
            self.state.delete(key, found.revision)
        self.store = Interleaved(self.state)
        self.first, self.second = RebootSlots(self.store), RebootSlots(self.state)
        self.expected: dict[str, tuple[int, set[str]]] = {}
        for group in ("a", "b"):
            self.slots(group, 2)

    @rule(group=GROUPS, number=NUMBERS)
    def slots(self, group: str, number: int) -> None:
        self.first.set_slots(group, number)
        self.expected[group] = (number, self.expected.get(group, (0, set()))[1])

    @rule(group=GROUPS, host=HOSTS)
    def take(self, group: str, host: str) -> None:
        self.model_take(self.first, group, host)

    @rule(group=GROUPS, host=HOSTS)
    def give_back(self, group: str, host: str) -> None:
        had = self.first.give_back(group, host)
        assert had == (host in self.expected[group][1])
        self.expected[group][1].discard(host)

    @rule(group=GROUPS, host=HOSTS, other=HOSTS)
    def take_while_another_does(self, group: str, host: str, other: str) -> None:
        self.store.faster.append(lambda: self.model_take(self.second, group, other))
        self.model_take(self.first, group, host)
        self.store.faster.clear()

    @rule(group=GROUPS, host=HOSTS, number=NUMBERS)
    def take_while_slots_change(self, group: str, host: str, number: int) -> None:
        def change() -> None:
            self.second.set_slots(group, number)
            self.expected[group] = (number, self.expected[group][1])

        self.store.faster.append(change)
        self.model_take(self.first, group, host)
        self.store.faster.clear()

    def model_take(self, server: RebootSlots, group: str, host: str) -> None:
        try:
            is_new = server.take(group, host)
        except Refusal as refusal:
            if refusal.code != "slots-taken":
                raise
            slots, holders = self.expected[group]
            assert host not in holders
            assert len(holders) >= slots
            return
        slots, holders = self.expected[group]
        assert is_new == (host not in holders)
        if is_new:
            assert len(holders) < slots
        holders.add(host)

    @invariant()
    def as_expected(self) -> None:
        found = self.second.groups() if hasattr(self, "second") else {}
        assert {group: (one.slots, set(one.holders)) for group, one in found.items()} == (
            self.expected if found else {}
        )


def test_slots_are_never_exceeded(state: SharedState) -> None:
    machine = type("OnThisStore", (Reboots,), {"state": state})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=30, stateful_step_count=15, deadline=None)
    )
