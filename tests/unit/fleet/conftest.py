# SPDX-License-Identifier: GPL-2.0-or-later
"""The stores in which fleets keep their state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from suture.fleet.etcd import Etcd
from suture.fleet.sqlite import SqliteState
from suture.fleet.state import SharedState
from tests.servers import etcd_cluster


@pytest.fixture(scope="session")
def etcd_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real etcd of one member, which all tests of a process share: each uses keys of its own."""
    with etcd_cluster(tmp_path_factory.mktemp("etcd"), 1) as (member,):
        yield member.client


@pytest.fixture(params=["etcd", "sqlite"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SharedState]:
    """Each of the stores, empty."""
    if request.param == "sqlite":
        yield SqliteState(tmp_path / "state.db")
        return
    store = Etcd([request.getfixturevalue("etcd_url")])
    yield store
    for key, found in store.under("t").items() | store.under("com.").items():
        store.delete(key, found.revision)
