# SPDX-License-Identifier: GPL-2.0-or-later
"""`SharedState` in a file of SQLite's, for one node.

Several processes of the node may use it.  The file must be on a local file system: SQLite's locks
do not hold on most network file systems (sqlite.org/faq.html, question 5).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from suture.core import running
from suture.errors import STATE_REFUSED, STATE_UNREACHABLE, Refusal
from suture.fleet.state import ABSENT, Lease, Versioned

WAIT = 5.0
"""Seconds to wait for another process."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lease (key TEXT PRIMARY KEY, holder TEXT, id TEXT, boot TEXT, until REAL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS last (revision INTEGER NOT NULL);
INSERT INTO last SELECT 0 WHERE NOT EXISTS (SELECT * FROM last);
"""
"""`last` is the newest revision of all: one that was used for a deleted key is not used again."""


class SqliteState:
    """A file; it and its directory are made when they are first needed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def get(self, key: str) -> Versioned | None:
        """As `suture.fleet.state.SharedState.get`."""
        with self._transaction() as database:
            row = database.execute("SELECT value, revision FROM state WHERE key = ?", (key,))
            return next((Versioned(*found) for found in row), None)

    def under(self, prefix: str) -> Mapping[str, Versioned]:
        """As `suture.fleet.state.SharedState.under`."""
        with self._transaction() as database:
            rows = database.execute(
                "SELECT key, value, revision FROM state WHERE substr(key, 1, ?) = ? ORDER BY key",
                (len(prefix), prefix),
            )
            return {key: Versioned(value, revision) for key, value, revision in rows}

    def swap(self, key: str, value: bytes, revision: int) -> int | None:
        """As `suture.fleet.state.SharedState.swap`."""
        with self._transaction(writes=True) as database:
            if _revision(database, key) != revision:
                return None
            (new,) = database.execute("UPDATE last SET revision = revision + 1 RETURNING revision")
            database.execute("REPLACE INTO state VALUES (?, ?, ?)", (key, value, new[0]))
            return int(new[0])

    def delete(self, key: str, revision: int) -> bool:
        """As `suture.fleet.state.SharedState.delete`."""
        with self._transaction(writes=True) as database:
            gone = database.execute(
                "DELETE FROM state WHERE key = ? AND revision = ?", (key, revision)
            )
            return gone.rowcount == 1

    def lead(self, key: str, holder: str, seconds: float) -> Lease | None:
        """As `suture.fleet.state.SharedState.lead`."""
        with self._transaction(writes=True) as database:
            if _leader(database, key):
                return None
            lease = Lease(key, holder, str(uuid4()), time.monotonic() + seconds)
            until = _since_boot() + seconds
            row = (key, holder, lease.id, running.boot_id(), until)
            database.execute("REPLACE INTO lease VALUES (?, ?, ?, ?, ?)", row)
            return lease

    def renew(self, lease: Lease, seconds: float) -> Lease | None:
        """As `suture.fleet.state.SharedState.renew`."""
        with self._transaction(writes=True) as database:
            renewed = database.execute(
                "UPDATE lease SET until = ? WHERE key = ? AND id = ? AND boot = ? AND until > ?",
                (
                    _since_boot() + seconds,
                    lease.key,
                    lease.id,
                    running.boot_id(),
                    _since_boot(),
                ),
            )
            until = time.monotonic() + seconds
            return Lease(lease.key, lease.holder, lease.id, until) if renewed.rowcount else None

    def resign(self, lease: Lease) -> None:
        """As `suture.fleet.state.SharedState.resign`."""
        with self._transaction(writes=True) as database:
            database.execute("DELETE FROM lease WHERE key = ? AND id = ?", (lease.key, lease.id))

    def leader(self, key: str) -> str:
        """As `suture.fleet.state.SharedState.leader`."""
        with self._transaction() as database:
            return _leader(database, key)

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[sqlite3.Connection]:
        """Give the database within a transaction; one that writes waits for all others that do.

        :raises Refusal: ``state-unreachable``, ``state-refused``
        """
        try:
            database = self._database()
            database.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise Refusal(STATE_UNREACHABLE, str(self.path), str(error)) from error
        except (sqlite3.DatabaseError, OSError) as error:
            raise Refusal(STATE_REFUSED, str(self.path), str(error)) from error

    def _database(self) -> sqlite3.Connection:
        """Return this thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "database", None)
        if found is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            found = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
            # What was answered outlasts a power cut (sqlite.org/pragma.html#pragma_synchronous).
            found.execute("PRAGMA journal_mode = WAL")
            found.execute("PRAGMA synchronous = FULL")
            found.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
            self._local.database = found
        return found


def _revision(database: sqlite3.Connection, key: str) -> int:
    row = database.execute("SELECT revision FROM state WHERE key = ?", (key,))
    return next((int(found[0]) for found in row), ABSENT)


def _leader(database: sqlite3.Connection, key: str) -> str:
    row = database.execute(
        "SELECT holder FROM lease WHERE key = ? AND boot = ? AND until > ?",
        (key, running.boot_id(), _since_boot()),
    )
    return next((str(found[0]) for found in row), "")


def _since_boot() -> float:
    """Return a time that all processes of this boot share, and that nobody sets
    (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
