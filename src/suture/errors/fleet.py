# SPDX-License-Identifier: GPL-2.0-or-later
"""Fleets: rollouts, and reboots in turn."""

from __future__ import annotations

from suture.errors.refusal import Kind

STATE_UNREACHABLE = Kind(
    "state-unreachable",
    "Nothing is decided for a fleet without the state that all of its servers share. What was "
    "asked for may or may not have been written.",
    "See that etcd answers and has a majority ('etcdctl endpoint health --cluster'), or that the "
    "file can be written, and run the same command again: it does nothing twice.",
)
STATE_REFUSED = Kind(
    "state-refused",
    "The shared state was not changed.",
    "Suture speaks to etcd 3.4 and later through its JSON gateway. See its log, and the URL, the "
    "certificates and the free space.",
)
URL_WRONG = Kind(
    "url-wrong",
    "A server is named by its scheme, host and port.",
    "Write it as in http://127.0.0.1:2379 or https://lock.example.com/base.",
)
STATE_DAMAGED = Kind(
    "state-damaged",
    "Something else than Suture has written this, and what it would mean is a guess.",
    "Look at the value ('etcdctl get KEY'), and delete it where nothing needs it.",
)
GROUP_UNKNOWN = Kind(
    "group-unknown",
    "Hosts reboot in turn within a group that has a number of slots, and nobody has given any to "
    "this one.",
    "See the groups with 'suture fleetlock holders', and make one with 'suture fleetlock slots "
    "GROUP NUMBER'.",
)
SLOTS_TAKEN = Kind(
    "slots-taken",
    "As many hosts of the group are rebooting as may at a time. Slots do not expire: a host that "
    "never came back is one to look at.",
    "Wait, or see who holds them with 'suture fleetlock holders'; 'suture fleetlock release GROUP "
    "ID' frees that of a host that is gone.",
)
ADDRESS_UNUSABLE = Kind(
    "address-unusable",
    "The server cannot listen there.",
    "Choose an address of this host and a port that is free, as in --listen 0.0.0.0:3333.",
)
FLEET_EXTRA_MISSING = Kind(
    "fleet-extra-missing",
    "A server speaks HTTP with the help of a library that hosts without a server do not need.",
    "Install Suture with its extra: pip install 'suture[fleet]'; or the distribution's package of "
    "h11 for Python.",
)
LOCK_SERVER_UNREACHABLE = Kind(
    "lock-server-unreachable",
    "Without the lock server's answer this host does not know whether it is its turn.",
    "See that the server runs ('curl URL/-/healthy' for Suture's own), and run the same command "
    "again: a host has one slot, however often it asks.",
)
SLOT_REFUSED = Kind(
    "slot-refused",
    "The lock server lets only some hosts reboot at a time.",
    "Try again later, or wait for a slot with --wait. The server's administrator sees who holds "
    "them with 'suture fleetlock holders'.",
)
DRAIN_REFUSED = Kind(
    "drain-refused",
    "A program of the administrator's says that this host cannot go down now. Its slot was given "
    "back.",
    "See what the program says.",
)
HOST_NOT_STEADY = Kind(
    "host-not-steady",
    "A host gives its slot back when it does its work again, so that the next one may reboot.",
    "See 'suture status'. suture-steady.service tries again each minute; 'suture fleetlock release "
    "GROUP ID' frees the slot by hand.",
)
PLAN_WRONG = Kind(
    "plan-wrong",
    "A plan decides what many hosts load, so nothing in it is guessed.",
    "Correct the plan; docs/fleet.md has an example with all that can be said.",
)
ROLLOUT_STATE_WRONG = Kind(
    "rollout-state-wrong",
    "A rollout goes from running to halted and back, and from both to rolled back, which is its "
    "end, as is done.",
    "See where it is with 'suture rollout status'; a new one begins with 'suture rollout start'.",
)
OFFER_NOT_PERFORMED = Kind(
    "offer-not-performed",
    "The hosts have not been offered what they are to be; the controller tries again.",
    "See what is said, and put it right; 'suture rollout halt' holds the rollout meanwhile.",
)
ROLLOUT_UNKNOWN = Kind(
    "rollout-unknown",
    "There is no rollout of that name in the shared state.",
    "See what there is with 'suture rollout status'.",
)
ROLLOUT_EXISTS = Kind(
    "rollout-exists",
    "A rollout of that name is not over yet, and two would contradict each other.",
    "See it with 'suture rollout status', and go on with it, roll it back, or name the new one "
    "with --name.",
)
