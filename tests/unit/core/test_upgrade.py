# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of live patches with another kernel, by the changelog of its package and by what
their modules carry."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from suture.core import changelog, system_hooks, upgrade
from suture.core.changelog import ChangelogItem
from suture.core.store import Store
from suture.core.upgrade import SuccessionKind, successions
from suture.elf import reader, writer
from suture.model import Fix
from suture.module import carried, fixes
from tests.unit.toolchain import compile_c, tool

OLD, NEW = "6.1.0-50-toy", "6.1.0-56-toy"

SFQ = Fix("net/sched: sch_sfq: refuse a quantum of zero", cves=("CVE-2026-1001",))
SMB = Fix("smb: client: fix OOB read/write from unvalidated DataOffset in coalesce_t2()")
TWO = Fix("ext4: count what is freed", cves=("CVE-2026-1002", "CVE-2026-1003"))
PART = Fix("kvm: mend the rest of it", cves=("CVE-2025-9000",))
BACK = Fix("ovl: look again", cves=("CVE-2026-1004",))

CHANGELOG = """\
linux-signed-amd64 (6.1.192+1) bookworm-security; urgency=high

  * Sign kernel from linux 6.1.192-1

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.1.191
    - smb: client: fix OOB read/write from unvalidated DataOffset in
      coalesce_t2() (CVE-2026-89633)
    - [x86,arm64] net/sched: sch_sfq: refuse a quantum of zero
    - Revert "ovl: look again"
    - jbd2: free what is counted (CVE-2026-1003, CVE-2026-1005)

  [ Somebody ]
  * Bump ABI to 56

 -- Somebody <somebody@example.org>  Mon, 23 Nov 2026 10:00:00 +0100

linux-signed-amd64 (6.1.187+1) bookworm-security; urgency=high

  * New upstream stable update:
    - ovl: look again (CVE-2026-1004)
    - ext4: do not count twice (CVE-2026-1002)

 -- Somebody <somebody@example.org>  Mon, 16 Nov 2026 10:00:00 +0100

"""

BEFORE = """\
linux-signed-amd64 (6.1.176+1) bookworm; urgency=medium

  * New upstream stable update:
    - kvm: mend half of it (CVE-2025-9000)

 -- Somebody <somebody@example.org>  Mon, 2 Nov 2026 10:00:00 +0100
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "lib").mkdir(mode=0o755)
    return Store(tmp_path / "lib" / "suture", anchor=tmp_path, owner=os.geteuid())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with the packages of both kernels."""
    for release, text in ((OLD, BEFORE), (NEW, CHANGELOG + BEFORE)):
        place = tmp_path / f"usr/share/doc/linux-image-{release}/changelog.gz"
        place.parent.mkdir(parents=True)
        place.write_bytes(gzip.compress(text.encode()))
    return tmp_path


def keep(store: Store, name: str, *about: Fix, release: str = OLD, archive: bytes = b"") -> None:
    module = reader.read(compile_c("int f(void) { return 1; }"), "f.o")
    content = writer.write(fixes.with_note(carried.with_source(module, archive), about))
    store.install(content, release, name, replaces=True, origin="")


def test_entries_are_read_with_their_versions_and_numbers() -> None:
    found = list(changelog.items(CHANGELOG, "6.1.187-1"))
    assert [one.title for one in found] == [
        "Sign kernel from linux 6.1.192-1",
        SMB.title,
        SFQ.title,
        'Revert "ovl: look again"',
        "jbd2: free what is counted",
        "Bump ABI to 56",
    ]
    assert found[1].cves == {"CVE-2026-89633"}
    assert found[4].cves == {"CVE-2026-1003", "CVE-2026-1005"}
    assert {one.version for one in found} == {"6.1.192+1"}
    assert len(list(changelog.items(CHANGELOG + BEFORE))) > len(found) + 2
    assert changelog.version_of(BEFORE) == "6.1.176+1"
    assert list(changelog.items("no changelog")) == []


@pytest.mark.parametrize(
    ("fix", "because"),
    [
        (SMB, "the changelog of 6.1.192+1 has 'smb: client: fix OOB"),
        (SFQ, "the changelog of 6.1.192+1 has"),
        (TWO, "the changelog of 6.1.187+1 names CVE-2026-1002, CVE-2026-1003"),
        (PART, ""),
        (BACK, ""),
        (Fix("something else"), ""),
    ],
)
def test_a_fix_is_known_by_its_title_or_all_of_its_numbers(
    fix: Fix, because: str, root: Path
) -> None:
    """Not what the old kernel names too, and not what was taken back."""
    new = upgrade.new_items(OLD, NEW, root)
    found = changelog.evidence((fix,), new)
    assert found.startswith(because)
    assert bool(found) is bool(because)
    assert changelog.evidence((fix, Fix("something else")), new) == ""
    assert changelog.evidence((), new) == "", "nobody knows what it is for"


def test_without_a_changelog_nothing_is_known(tmp_path: Path) -> None:
    assert upgrade.new_items(OLD, NEW, tmp_path) == ()
    place = tmp_path / f"usr/share/doc/linux-image-{NEW}/changelog.gz"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"\x1f\x8b no gzip")
    assert upgrade.new_items(OLD, NEW, tmp_path) == ()
    place.write_bytes(gzip.compress(CHANGELOG.encode())[:-20])
    assert upgrade.new_items(OLD, NEW, tmp_path) == ()


def test_a_long_title_full_of_numbers_takes_no_time() -> None:
    numbers = ", ".join(f"CVE-2026-{number}" for number in range(1000, 9000))
    (found,) = changelog.items(f"linux (1) x; y\n\n  * mend ({numbers}) and more\n")
    assert found == ChangelogItem("1", f"mend ({numbers}) and more", found.cves)
    assert len(found.cves) == 8000


def test_each_live_patch_is_kept_or_not_needed_or_buildable_or_lost(
    store: Store, root: Path
) -> None:
    for name in ("kept", "recorded"):
        keep(store, name)
    keep(store, "kept", release=NEW)
    store.record_fixed(NEW, "recorded", "its source has the fix")
    keep(store, "fixed", SMB, archive=b"sources")
    keep(store, "half", SMB, PART, archive=b"sources")
    keep(store, "old_tool", PART)
    keep(store, "unusable", archive=b"sources")
    entry = store.entry(OLD, "unusable")
    (store.path / OLD / entry.module_file).write_bytes(b"cut")
    keep(store, "disabled")
    store.set_enabled(OLD, "disabled", False)
    found = {one.name: one for one in successions(NEW, store, root)}
    assert {name: one.kind.value for name, one in found.items()} == {
        "kept": "kept",
        "recorded": "fixed",
        "fixed": "fixed",
        "half": "rebuildable",
        "old_tool": "lost",
        "unusable": "lost",
    }
    assert [one.name for one in found.values() if one.is_missing] == [
        "half",
        "old_tool",
        "unusable",
    ]
    text = "\n".join(upgrade.report(NEW, list(found.values())))
    assert f"fixed (for {OLD}) is not needed: the changelog of 6.1.192+1 has" in text
    assert f"half (for {OLD}) can be built again" in text
    assert f"old_tool (for {OLD}) has no successor: its module carries no sources" in text
    assert f"'suture rebuild --kernel {NEW}'" in text
    assert "After a reboot into it, half, old_tool, unusable will be missing." in text
    upgrade.record(NEW, list(found.values()), store)
    assert set(store.fixed(NEW)) == {"recorded", "fixed"}
    assert store.fixed(NEW)["recorded"].because == "its source has the fix"


def test_the_newest_kernel_that_keeps_it_counts(store: Store, root: Path) -> None:
    keep(store, "fix", release="6.1.0-9-toy")
    keep(store, "fix", archive=b"sources")
    (found,) = successions(NEW, store, root)
    assert (found.origin, found.kind) == (OLD, SuccessionKind.REBUILDABLE)


def test_nothing_is_said_where_nothing_is_kept(store: Store) -> None:
    assert successions(NEW, store) == ()
    assert upgrade.report(NEW, ()) == []


@pytest.fixture
def this_host(store: Store, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(upgrade, "PENDING", tmp_path / "pending")
    monkeypatch.setattr(upgrade, "newer_kernel", lambda: NEW)
    monkeypatch.setattr(upgrade, "Store", lambda: store)
    real = upgrade.new_items
    monkeypatch.setattr(upgrade, "new_items", lambda old, new, _: real(old, new, root))
    monkeypatch.setattr(upgrade, "start_rebuild", lambda: True)
    return store


def test_the_hooks_say_it_when_a_kernel_is_installed_and_once_more_at_the_end(
    this_host: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(this_host, "fixed", SMB)
    keep(this_host, "half", PART, archive=b"sources")
    assert upgrade.main([NEW, f"/boot/vmlinuz-{NEW}"]) == 0
    first = capsys.readouterr().out
    assert f"Live patches and {NEW}:" in first
    assert set(this_host.fixed(NEW)) == {"fixed"}
    assert upgrade.main(["--at-end"]) == 0
    second = capsys.readouterr().out
    assert "half will be missing" in second
    assert "journalctl -fu suture-rebuild" in second
    assert upgrade.main(["--at-end"]) == 0
    assert capsys.readouterr() == ("", ""), "it is said once for each run of apt"


def test_nothing_that_fails_fails_the_upgrade(
    this_host: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(this_host, "half", PART)
    this_host.path.chmod(0o777)
    assert upgrade.main([NEW]) == 0
    assert "what becomes of live patches is not known" in capsys.readouterr().err


def test_without_the_unit_nothing_is_started(tmp_path: Path) -> None:
    assert not system_hooks.start_rebuild(tmp_path)


def test_sources_ride_along_and_take_no_memory_in_the_kernel() -> None:
    module = reader.read(compile_c("int f(void) { return 1; }"), "f.o")
    data = writer.write(carried.with_source(module, b"the archive"))
    assert carried.source_of(reader.read(data, "f.o")) == b"the archive"
    (row,) = [
        line for line in tool("readelf", "-SW", data=data).splitlines() if carried.SECTION in line
    ]
    assert " PROGBITS " in row
    assert " A " not in row
    assert carried.with_source(module, b"") is module
    assert carried.with_source(module, bytes(carried.LARGEST + 1)) is module
    assert carried.source_of(module) == b""
