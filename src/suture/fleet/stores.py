# SPDX-License-Identifier: GPL-2.0-or-later
"""Which store an operator means."""

from __future__ import annotations

from pathlib import Path

from suture.errors import URL_WRONG, Refusal
from suture.fleet.etcd import Etcd
from suture.fleet.http import Certificates
from suture.fleet.sqlite import SqliteState
from suture.fleet.state import SharedState


def open_state(where: str, certificates: Certificates | None = None) -> SharedState:
    """Return the store of a name: URLs of etcd's members with commas between them, or a file.

    :raises Refusal: ``url-wrong``, ``file-unreadable``
    """
    if "://" in where:
        return Etcd([url.strip() for url in where.split(",") if url.strip()], certificates)
    if not where or ":" in where.partition("/")[0]:
        # A file of this name is hardly meant: 127.0.0.1:2379, http:/127.0.0.1
        raise Refusal(URL_WRONG, where or "''", "is neither a URL nor a path")
    return SqliteState(Path(where))
