# SPDX-License-Identifier: GPL-2.0-or-later
"""The semaphore of a group of hosts: how many may reboot at a time, and which of them do.

Its key and its JSON are those of airlock (coreos/airlock: ``internal/lock/lock.go``,
``semaphore.go``), so that either server can take over from the other, or both run at once::

    com.coreos.airlock/groups/default/v1/semaphore
    {"total_slots":2,"holders":["3f…","c9…"]}

`since` is Suture's own addition; airlock drops it when it writes, and then it is not known.

A slot is never taken back because of its age: a host that did not come back from its reboot is a
reason not to reboot the next one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote_plus, unquote_plus

from suture.errors import STATE_DAMAGED, Refusal

GROUPS = "com.coreos.airlock/groups/"
KEY = re.compile(rf"{re.escape(GROUPS)}(?P<group>[^/]+)/v1/semaphore")

GROUP = re.compile(r"[a-zA-Z0-9.-]{1,128}")
"""coreos/zincati: ``docs/development/fleetlock/protocol.md``; the length is ours."""

ID = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
"""What names a host; the protocol says only that it is not empty."""

MOST_SLOTS = 10_000
"""Keeps the value well below what etcd stores (1.5 MiB)."""


@dataclass(frozen=True, slots=True)
class Semaphore:
    """The semaphore of one group.

    :ivar slots: how many hosts may hold it at a time.  Fewer than there are holders means that the
        number was lowered: nobody gets a slot until enough have given theirs back.
    :ivar holders: the IDs of the hosts that hold it, sorted.
    :ivar since: ID -> when it got its slot (UTC, ISO 8601), as far as that is known.
    """

    slots: int
    holders: tuple[str, ...] = ()
    since: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Whether nobody else gets a slot."""
        return len(self.holders) >= self.slots

    def taken_by(self, host: str, when: str) -> Semaphore:
        """Return the semaphore with one more holder."""
        return replace(
            self,
            holders=tuple(sorted({*self.holders, host})),
            since={**self.since, host: when},
        )

    def released_by(self, host: str) -> Semaphore:
        """Return the semaphore without a holder."""
        return replace(
            self,
            holders=tuple(holder for holder in self.holders if holder != host),
            since={holder: when for holder, when in self.since.items() if holder != host},
        )


def key_of(group: str) -> str:
    """Return the key of a group's semaphore."""
    return f"{GROUPS}{quote_plus(group)}/v1/semaphore"


def group_of(key: str) -> str | None:
    """Return the group whose semaphore has this key; None for other keys."""
    match = KEY.fullmatch(key)
    return unquote_plus(match["group"]) if match else None


def parse(value: bytes, key: str) -> Semaphore:
    """Read a semaphore.

    :raises Refusal: ``state-damaged``
    """
    try:
        found = json.loads(value)
        slots, holders = found["total_slots"], found.get("holders") or []
        since = found.get("since") or {}
        texts = [*holders, *since.keys(), *since.values()]
        if type(slots) is not int or slots < 0 or not all(isinstance(one, str) for one in texts):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refusal(STATE_DAMAGED, key, "is no semaphore of airlock's form") from None
    kept = {host: when for host, when in since.items() if host in holders}
    return Semaphore(slots, tuple(sorted(set(holders))), kept)


def dump(semaphore: Semaphore) -> bytes:
    """Write a semaphore as airlock does, without spaces."""
    content: dict[str, object] = {
        "total_slots": semaphore.slots,
        "holders": list(semaphore.holders),
    }
    if semaphore.since:
        content["since"] = dict(semaphore.since)
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
