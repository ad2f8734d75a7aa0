# SPDX-License-Identifier: GPL-2.0-or-later
"""State that several servers share: values that are exchanged by compare-and-swap, and leases.

There are two stores: etcd (`suture.fleet.etcd`), and a file of SQLite's for one node
(`suture.fleet.sqlite`).  Both keep these promises:

- A read sees every write that has ended before it began (it is linearizable).
- `SharedState.swap` writes only where the value is still of the revision that the caller has seen.
- Who holds a lease knows when it ends at the latest, on a clock that nobody sets.

A write whose answer is lost may have happened.  Whoever gets ``state-unreachable`` or None from
`swap` reads again and decides anew; to ask for the same again is safe, because the revision has
moved if the first attempt went through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

ABSENT = 0
"""The revision of a key that is not there."""


@dataclass(frozen=True, slots=True)
class Versioned:
    """A value, and the revision that it was written with, which no other write of it has."""

    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to be the only one, for a while.

    :ivar key: what it is about.
    :ivar holder: who has it.
    :ivar id: the store's name for it.
    :ivar until: when it ends at the latest unless it is renewed, by `time.monotonic`.
    """

    key: str
    holder: str
    id: str
    until: float


class SharedState(Protocol):
    """A store.  Everything may be called by several threads.

    All methods raise the refusals ``state-unreachable`` and ``state-refused``.
    """

    @property
    def name(self) -> str:
        """What messages call it."""

    def get(self, key: str) -> Versioned | None:
        """Return a value; None where there is none."""

    def under(self, prefix: str) -> Mapping[str, Versioned]:
        """Return all values whose keys begin with `prefix`, sorted by key."""

    def swap(self, key: str, value: bytes, revision: int) -> int | None:
        """Write a value over one of that revision (`ABSENT` to make it).

        :return: the new revision; None where the value has another one meanwhile.
        """

    def delete(self, key: str, revision: int) -> bool:
        """Delete a value of that revision, and tell whether it was one."""

    def lead(self, key: str, holder: str, seconds: float) -> Lease | None:
        """Take a lease that nobody has; None where somebody has it, be it the same holder.

        :param seconds: how long it lasts; stores may round it up.
        """

    def renew(self, lease: Lease, seconds: float) -> Lease | None:
        """Prolong a lease; None where it has ended."""

    def resign(self, lease: Lease) -> None:
        """End a lease early."""

    def leader(self, key: str) -> str:
        """Return who holds a lease; "" for nobody."""
