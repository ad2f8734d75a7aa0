# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in force, against what is kept for the next boots; tests/lab/test_boot.py looks at real
boots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from suture.core.drift import ABOUT, WAY_OUT, Drift, DriftKind, InForce, drift
from suture.core.store import TRIES, Store, StoreEntry, Tries
from tests.unit.toolchain import compile_c, link, tool

RELEASE = "6.1.0-toy"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "lib").mkdir(mode=0o755)
    return Store(tmp_path / "lib" / "suture", anchor=tmp_path, owner=os.geteuid())


def build(number: int, build_id: str = "sha1") -> bytes:
    """A module of a number, linked as the kernel's are, or with no build ID (``none``)."""
    return link(
        compile_c(f"int f(void) {{ return {number}; }}"), options=("-r", f"--build-id={build_id}")
    )


def keep(
    store: Store, module: bytes, name: str = "fix", *, replaces: bool = False, enabled: bool = True
) -> StoreEntry:
    return store.install(
        module, RELEASE, name, replaces=replaces, origin="/root/fix.ko", enabled=enabled
    )


def build_id(module: bytes) -> str:
    """By readelf."""
    return tool("readelf", "-n", data=module).partition("Build ID: ")[2].split()[0]


def kinds(store: Store, **in_force: str) -> list[tuple[str, DriftKind]]:
    """:param in_force: name to build ID."""
    found = drift(
        {name: InForce(build_id, "") for name, build_id in in_force.items()}, store, RELEASE
    )
    return [(one.name, one.kind) for one in found]


def test_nothing_is_expected_where_nothing_is_kept(store: Store) -> None:
    assert kinds(store, fix="00") == []
    store.install(build(1), "6.12.0-toy", "fix", replaces=False, origin="")
    assert kinds(store, fix="00") == []


def test_what_is_kept_is_expected_and_nothing_else(store: Store) -> None:
    first, second = build(1), build(2)
    keep(store, first)
    assert kinds(store, fix=build_id(first)) == []
    assert kinds(store) == [("fix", DriftKind.NOT_LOADED)]
    assert kinds(store, fix=build_id(second)) == [("fix", DriftKind.OTHER_BUILD)]
    assert kinds(store, fix=build_id(first), other="00") == [("other", DriftKind.NOT_KEPT)]


def test_what_a_later_one_replaces_is_not_expected(store: Store) -> None:
    modules = {name: build(number) for number, name in enumerate(("one", "two", "three"))}
    for name, module in modules.items():
        keep(store, module, name, replaces=name == "two")
    ids = {name: build_id(module) for name, module in modules.items()}
    assert kinds(store) == [("three", DriftKind.NOT_LOADED), ("two", DriftKind.NOT_LOADED)]
    assert kinds(store, two=ids["two"], three=ids["three"]) == []


def test_one_that_is_disabled_or_set_aside_is_not_loaded_by_boots(store: Store) -> None:
    module = build(1)
    entry = keep(store, module, enabled=False)
    assert kinds(store) == []
    assert kinds(store, fix=build_id(module)) == [("fix", DriftKind.NOT_ENABLED)]
    entry = store.set_enabled(RELEASE, "fix", True)
    store.record(entry, Tries(failed=TRIES, reason="the boot did not complete"))
    (found,) = drift({}, store, RELEASE)
    assert (found.kind, "did not complete" in found.found) == (DriftKind.SET_ASIDE, True)


def test_without_a_build_id_the_journal_says_which_module_it_was(store: Store) -> None:
    entry = keep(store, build(1, "none"))
    assert drift({"fix": InForce("", entry.sha256)}, store, RELEASE) == ()
    assert drift({"fix": InForce("", "")}, store, RELEASE) == (), (
        "nobody knows, and so it is not said"
    )
    assert drift({"fix": InForce("", "00" * 32)}, store, RELEASE) == (
        Drift("fix", DriftKind.OTHER_BUILD),
    )
    assert drift({"fix": InForce("00", entry.sha256)}, store, RELEASE) == (
        Drift("fix", DriftKind.OTHER_BUILD),
    )


def test_what_cannot_be_used_is_told_whether_it_is_in_force_or_not(store: Store) -> None:
    entry = keep(store, build(1))
    keep(store, build(2), "other")
    (store.path / RELEASE / entry.module_file).write_bytes(b"cut")
    assert kinds(store, fix="00") == [
        ("fix", DriftKind.UNREADABLE),
        ("other", DriftKind.NOT_LOADED),
    ]
    keep(store, b"no module at all", "other")
    assert kinds(store, fix="00", other="00") == [
        ("fix", DriftKind.UNREADABLE),
        ("other", DriftKind.UNREADABLE),
    ]
    (store.path / RELEASE).chmod(0o777)
    (found,) = drift({}, store, RELEASE)
    assert (found.name, found.kind) == (RELEASE, DriftKind.UNREADABLE)
    assert "can be written by others" in found.found


def test_each_kind_has_its_words_and_its_way_out() -> None:
    assert set(ABOUT) == set(WAY_OUT) == set(DriftKind)
