# SPDX-License-Identifier: GPL-2.0-or-later
"""What kernels take on disk, and removing them; du(1) is the witness."""

from __future__ import annotations

import fcntl
import json
import subprocess
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.sources import fetched
from suture.sources.store import PARTS
from suture.workspace import disk
from tests.examples import shows

RELEASES = (
    ("6.1.0-50-amd64", "6.1.170-1"),
    ("6.1.0-55-amd64", "6.1.192-1"),
    ("6.1.0-56-amd64", "6.1.196-1"),
    ("6.1.0-56-cloud-amd64", "6.1.196-1"),
    ("6.12.9+deb13-amd64", "6.12.9-1"),
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = tmp_path / "suture"
    for release, version in RELEASES:
        directory = root / "kernels" / release / version
        directory.mkdir(parents=True)
        for name in PARTS:
            (directory / name).write_bytes(b"x" * 5000)
        parts = {name: {"path": name, "size": 5000} for name in PARTS}
        manifest = {"format": 1, "release": release, "version": version, "parts": parts}
        (directory / "target.json").write_text(json.dumps(manifest))
        workspace = root / "workspaces" / f"{release}-0123456789ab"
        (workspace / "ready/tree").mkdir(parents=True)
        (workspace / "ready/tree/x.c").write_bytes(b"x" * 9000)
        (workspace / "ready/tree/link").symlink_to("/usr")
        for lock in ("lock", "kbuild.lock"):
            (workspace / lock).touch()
    (root / "packages").mkdir()
    (root / "packages/linux-image_1_amd64.deb").write_bytes(b"x" * 7000)
    return root


def du(*paths: Path) -> int:
    out = subprocess.run(["du", "-sB1", *paths], capture_output=True, text=True, check=True).stdout
    return sum(int(line.split()[0]) for line in out.splitlines())


def test_sizes_are_what_they_take_on_disk(here: Path) -> None:
    kernels = disk.kept()
    assert {(one.release, one.version) for one in kernels} == set(RELEASES)
    for one in kernels:
        # du counts the directory itself
        assert 0 <= du(one.directory) - one.parts_size <= 4096
        assert 0 <= du(*one.workspaces) - one.workspaces_size <= 4096


def test_a_file_that_two_workspaces_share_counts_once_in_all(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for directory in (one, other):
        directory.mkdir()
    (one / "file").write_bytes(b"x" * 100_000)
    (other / "file").hardlink_to(one / "file")
    assert disk.size_on_disk(one) == disk.size_on_disk(other)
    # du counts the directories too
    assert 2 * disk.size_on_disk(one) == du(one, other) - 2 * 4096


def test_a_kernel_goes_with_its_workspace_and_no_other(here: Path) -> None:
    removed = disk.remove("6.1.0-56-amd64")
    assert (removed.release, removed.size > 0) == ("6.1.0-56-amd64", True)
    assert len(fetched()) == len(RELEASES) - 1
    left = {path.name for path in (here / "workspaces").iterdir()}
    assert left == {f"{name}-0123456789ab" for name, _ in RELEASES if name != "6.1.0-56-amd64"}
    with pytest.raises(Refusal) as caught:
        disk.remove("6.1.0-56-amd64")
    assert caught.value.code == "kernel-not-fetched"


@pytest.mark.parametrize("name", ["lock", "kbuild.lock"])
def test_what_a_build_uses_is_not_removed(here: Path, name: str) -> None:
    workspace = here / "workspaces/6.1.0-55-amd64-0123456789ab"
    with (workspace / name).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refusal) as caught:
            disk.remove("6.1.0-55-amd64")
    shows(caught.value, "kernel-in-use")
    assert (workspace / "ready/tree/x.c").exists()
    assert len(fetched()) == len(RELEASES)


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        (2, ["6.1.0-50-amd64"]),
        (1, ["6.1.0-55-amd64", "6.1.0-50-amd64"]),
        (0, [name for name, _ in RELEASES]),
    ],
)
def test_the_newest_of_each_series_and_flavour_stay(here: Path, keep: int, gone: list[str]) -> None:
    found = [one.release for one in disk.superfluous(disk.kept(), keep)]
    assert sorted(found) == sorted(gone)


def test_downloaded_packages_are_removed(here: Path) -> None:
    (here / "packages/.lock").touch()
    assert disk.remove_packages() >= 7000
    assert (here / "packages/.lock").exists()
    assert disk.packages() == ()


def test_a_workspace_of_a_longer_release_is_not_this_ones(here: Path) -> None:
    (here / "workspaces/6.1.0-56-amd64-extra-0123456789ab").mkdir()
    assert [path.name for path in disk.workspaces_of("6.1.0-56-amd64")] == [
        "6.1.0-56-amd64-0123456789ab"
    ]
