# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches that are kept for other kernels alone, after an upgrade."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from suture.core.store import Store
from suture.core.unprotected import are_covered, lacking, unprotected
from suture.elf import reader, writer
from suture.model import Fix
from suture.module import fixes
from tests.unit.toolchain import compile_c

OLD, NEW = "6.1.0-50-toy", "6.1.0-56-toy"
FIRST = Fix("net: sfq: refuse a quantum of zero", commit="a" * 40, cves=("CVE-2026-1",))
SECOND = Fix("ext4: count what is freed", cves=("CVE-2026-2", "CVE-2026-3"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "lib").mkdir(mode=0o755)
    return Store(tmp_path / "lib" / "suture", anchor=tmp_path, owner=os.geteuid())


def keep(store: Store, release: str, name: str, *about: Fix, enabled: bool = True) -> None:
    module = reader.read(compile_c("int f(void) { return 1; }"), "f.o")
    content = writer.write(fixes.with_note(module, about))
    store.install(content, release, name, replaces=True, origin="", enabled=enabled)


def missing(store: Store, *in_force: str, brought: tuple[Fix, ...] = ()) -> list[str]:
    return [found.name for found in unprotected(set(in_force), brought, store, NEW)]


def test_nothing_is_missing_where_nothing_is_kept(store: Store) -> None:
    assert missing(store) == []
    keep(store, NEW, "one", FIRST)
    assert missing(store) == []


def test_one_that_is_kept_for_other_kernels_alone_is_told_with_what_it_is_for(store: Store) -> None:
    keep(store, "6.1.0-9-toy", "one")
    keep(store, OLD, "one", FIRST)
    keep(store, OLD, "disabled", enabled=False)
    (found,) = unprotected((), (), store, NEW)
    assert (found.name, found.releases, found.fixes) == ("one", ("6.1.0-9-toy", OLD), (FIRST,))
    assert found.cves == ("CVE-2026-1",)


def test_a_kernel_that_does_not_run_yet_lacks_what_is_not_kept_for_it(store: Store) -> None:
    assert lacking(NEW, store) == ()
    for name, fix in (("one", FIRST), ("two", SECOND), ("three", FIRST)):
        keep(store, OLD, name, fix)
    keep(store, NEW, "three")
    store.record_fixed(NEW, "two", "6.1.187-1 names CVE-2026-2")
    assert lacking(NEW, store) == ("one",)
    assert lacking(OLD, store) == ()
    keep(store, NEW, "all", FIRST, SECOND)
    assert lacking(NEW, store) == (), "another one brings its fixes"


def test_each_that_has_no_successor_is_missing_though_others_have_one(store: Store) -> None:
    for name in ("one", "two", "three", "four"):
        keep(store, OLD, name)
    keep(store, NEW, "one")
    store.record_fixed(NEW, "two", "6.1.187-1 names CVE-2026-1")
    assert missing(store, "three") == ["four"]


def test_one_with_all_of_its_fixes_stands_for_another(store: Store) -> None:
    keep(store, OLD, "one", FIRST)
    keep(store, OLD, "both", FIRST, SECOND)
    keep(store, OLD, "unknown")
    assert missing(store, "cumulative", brought=(FIRST,)) == ["both", "unknown"]
    assert missing(store, "cumulative", brought=(SECOND, FIRST)) == ["unknown"]


@pytest.mark.parametrize(
    ("other", "covers"),
    [
        (Fix("another title", commit="a" * 40), True),
        (Fix("another title", cves=("CVE-2026-1", "CVE-2026-9")), True),
        (Fix("another title", cves=("CVE-2026-9",)), False),
        (Fix("another title"), False),
    ],
)
def test_a_fix_is_known_by_its_commit_its_title_or_all_of_its_numbers(
    other: Fix, covers: bool
) -> None:
    assert are_covered([FIRST], [other]) is covers
    assert not are_covered([SECOND], [Fix("x", cves=("CVE-2026-2",))])
    assert not are_covered([], [FIRST]), "nobody knows what it is for"
    assert not are_covered([Fix("", cves=("CVE-2026-2",))], [Fix("")]), "no title is no title"


def test_records_of_fixes_are_kept_with_what_else_is_kept(store: Store) -> None:
    made = store.record_fixed(NEW, "one", "its source has the fix")
    assert store.fixed(NEW) == {"one": made}
    assert (store.names(NEW), store.releases(), store.check()) == ([], [NEW], [])
    keep(store, NEW, "two")
    assert store.prune([]) == []
    assert store.fixed(NEW) == {"one": made}
    (store.path / NEW / "one.fixed").write_text("{}")
    assert store.fixed(NEW) == {}
    (damage,) = store.check()
    assert damage.refusal is not None
    assert damage.refusal.code == "store-damaged"
    store.prune([NEW])
    assert store.releases() == []


def test_an_unreadable_store_is_not_taken_for_an_unprotected_host(store: Store) -> None:
    keep(store, OLD, "one")
    store.path.chmod(0o777)
    assert missing(store) == []
