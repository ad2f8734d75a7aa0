# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host writes down before it asks for a slot, so that after its reboot, or after a crash in
between, it still knows what to give back, and to whom."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from suture.core import trusted
from suture.errors import STORE_DAMAGED, Refusal
from suture.fleet.http import Certificates
from suture.fleet.lock_client import LockClient
from suture.host import paths

NAME = "reboot-turn.json"


@dataclass(frozen=True, slots=True)
class RebootTurn:
    """One host's turn to reboot.

    :ivar server: the lock server's URL.
    :ivar host: this host's ID there.
    :ivar boot: the ID of the boot that is to end.
    :ivar authority: a file of certificates, as are the next two; "" for none.
    """

    server: str
    group: str
    host: str
    boot: str
    authority: str = ""
    certificate: str = ""
    key: str = ""

    def client(self) -> LockClient:
        """Return the client for it.  :raises Refusal: ``url-wrong``, ``file-unreadable``"""
        authority, own, key = (
            Path(name) if name else None for name in (self.authority, self.certificate, self.key)
        )
        files = Certificates(authority, own, key)
        return LockClient(self.server, self.group, self.host, files)


class TurnFile:
    """Where it is written down: a file that is root's alone, for it says whom to trust.

    :param owner: whom the directory belongs to; tests have another one than root.
    """

    def __init__(
        self, directory: Path = paths.STATE, *, anchor: Path = Path("/"), owner: int = 0
    ) -> None:
        self.path = directory / NAME
        self._anchor, self._owner = anchor, owner

    def read(self) -> RebootTurn | None:
        """Return the turn; None where this host has none.

        :raises Refusal: ``path-untrusted``, ``store-damaged``
        """
        try:
            with self._directory() as directory:
                content = directory.read(NAME)
        except FileNotFoundError:
            return None
        try:
            found = json.loads(content)
            turn = RebootTurn(**found)
            if not all(isinstance(value, str) for value in found.values()):
                raise TypeError
        except (ValueError, TypeError):
            raise Refusal(
                STORE_DAMAGED,
                str(self.path),
                "is not what was written there",
                why="It says which lock server this host holds a slot of.",
                remedy="Remove it, and free the slot with 'suture fleetlock release GROUP ID'.",
            ) from None
        return turn

    def write(self, turn: RebootTurn) -> None:
        """Write a turn down.  :raises Refusal: ``path-untrusted``, ``store-unwritable``"""
        with self._directory(make=True) as directory:
            directory.write(NAME, json.dumps(asdict(turn)).encode(), mode=0o600)

    def remove(self) -> None:
        """Forget the turn.  :raises Refusal: ``path-untrusted``, ``store-unwritable``"""
        with self._directory() as directory:
            directory.remove(NAME)

    def _directory(self, *, make: bool = False) -> trusted.Directory:
        return trusted.open_directory(
            self.path.parent, anchor=self._anchor, owner=self._owner, make=make
        )
