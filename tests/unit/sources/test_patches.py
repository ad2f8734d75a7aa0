# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches of a feature set such as rt, from the packaging of the kernel's source package, with the
host's own apt on an archive that stands in a directory."""

from __future__ import annotations

import hashlib
import io
import lzma
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from suture import sources
from suture.errors import PACKAGE_CORRUPT, Refusal
from suture.sources.debian import DebianOffer
from tests.unit.sources.test_debian import refused
from tests.unit.sources.test_suites import Archive, archive, published
from tests.web import served

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is not installed")

__all__ = ["archive", "published"]

RT, PLAIN, FLAVOUR = "6.1.0-1-rt-amd64", "6.1.0-1-amd64", "7.3.4+deb13-rt-amd64"
VERSION = "6.1.1-1"
PACKAGING = f"linux_{VERSION}.debian.tar.xz"

SERIES = b"""\
# what upstream has by now
0002-second.patch
features/0001-first.patch # before the others once

0003-third.patch
"""

PATCHES = {
    "debian/patches/series": b"bugfix.patch\n",
    "debian/patches/bugfix.patch": b"applied already\n",
    "debian/patches-rt/series": SERIES,
    "debian/patches-rt/0002-second.patch": b"second\n",
    "debian/patches-rt/features/0001-first.patch": b"first\n",
    "debian/patches-rt/0003-third.patch": b"third\n",
}


@dataclass(frozen=True)
class Mirror:
    """An archive with a kernel with patches of its own, and a place to unpack to."""

    archive: Archive
    into: Path

    @property
    def pool(self) -> Path:
        return self.archive.pool

    @property
    def kept(self) -> Path:
        return self.archive.root / "xdg/suture/packages"

    def publish(self, files: Mapping[str, bytes] = PATCHES) -> None:
        """Publish the kernels, and the source package with these files in its packaging."""
        for release in (RT, PLAIN):
            self.archive.add_kernel(release, VERSION)
        source = {"usr/src/linux-source-6.1.tar.xz": b"source"}
        self.archive.add("linux-source-6.1", VERSION, source, "Source: linux\n")
        (self.pool / PACKAGING).write_bytes(packed(files))
        self.list_source(VERSION)

    def list_source(self, version: str) -> None:
        """Let the list of bookworm's source packages have the packaging, as that of a version."""
        self.archive.publish("bookworm")
        dists = self.archive.root / "debian/dists/bookworm"
        text = (
            f"Package: linux\nBinary: linux-source-6.1\nVersion: {version}\nFormat: 3.0 (quilt)\n"
            f"Directory: pool\nChecksums-Sha256:\n {described(self.pool / PACKAGING)}\n"
        )
        (dists / "main/source").mkdir(exist_ok=True)
        (dists / "main/source/Sources").write_text(text)
        with (dists / "Release").open("a") as release:
            digest = hashlib.sha256(text.encode()).hexdigest()
            release.write(f" {digest} {len(text)} main/source/Sources\n")
        self.archive.configure(f"deb [trusted=yes] copy:{self.archive.root}/debian bookworm main")

    def offer(self, release: str) -> DebianOffer:
        offer = sources.find_offer(release)
        assert isinstance(offer, DebianOffer)
        return offer

    def patches(self, release: str = RT) -> tuple[Path, ...]:
        shutil.rmtree(self.into, ignore_errors=True)
        self.into.mkdir()
        return self.offer(release).get(self.into).patches

    def refused(self) -> Refusal:
        """Return the refusal of the kernel, of which nothing else was downloaded."""
        refusal = refused(self.patches)
        assert list(self.kept.glob("*.deb")) == []
        assert list(self.into.iterdir()) == []
        return refusal


def described(path: Path) -> str:
    data = path.read_bytes()
    return f"{hashlib.sha256(data).hexdigest()} {len(data)} {path.name}"


def packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def mirror(archive: Archive, tmp_path: Path) -> Mirror:
    archive.empty()
    return Mirror(archive, tmp_path / "into")


def test_the_patches_of_rt_are_those_of_its_series_in_order(mirror: Mirror) -> None:
    mirror.publish()
    patches = mirror.patches()
    assert [path.read_bytes() for path in patches] == [b"second\n", b"first\n", b"third\n"]
    assert all(path.parent == mirror.into / "patches" for path in patches)


def test_a_kernel_of_the_common_source_has_none(mirror: Mirror) -> None:
    mirror.publish()
    assert mirror.patches(PLAIN) == ()
    assert not (mirror.kept / PACKAGING).exists()


def test_rt_of_the_common_source_has_none(mirror: Mirror) -> None:
    """As in 7.x: ``linux-headers-7.3.4+deb13-rt-amd64`` depends on
    ``linux-headers-7.3.4+deb13-common``."""
    release, common = "6.1.3+deb12-rt-amd64", "linux-headers-6.1.3+deb12-common"
    mirror.archive.add_kernel(release, "6.1.3-1", leave_out=f"linux-headers-{release}")
    built = f"usr/src/linux-headers-{release}"
    files = {
        f"{built}/.config": b'CONFIG_CC_VERSION_TEXT="gcc-12 (Debian 12.2.0-14) 12.2.0"\n',
        f"{built}/Module.symvers": b"",
    }
    needs = f"Depends: {common} (= 6.1.3-1), gcc-12\n"
    mirror.archive.add(f"linux-headers-{release}", "6.1.3-1", files, needs)
    mirror.publish()
    assert mirror.patches(release) == ()


def test_the_packaging_is_downloaded_once(mirror: Mirror) -> None:
    mirror.publish()
    mirror.patches()
    (mirror.pool / PACKAGING).unlink()
    assert len(mirror.patches()) == 3


def test_a_mirror_without_the_packaging_is_named_before_anything_is_downloaded(
    mirror: Mirror,
) -> None:
    """As one that drops the source packages of kernels that it still has."""
    mirror.publish()
    (mirror.pool / PACKAGING).unlink()
    refusal = mirror.refused()
    assert refusal.code == "archive-unreachable"
    assert f"linux={VERSION}" in refusal.found
    assert "another kernel" in refusal.remedy


def test_a_suite_that_does_not_list_the_source_package_is_named(mirror: Mirror) -> None:
    mirror.publish()
    mirror.list_source("6.1.0-1")
    refusal = mirror.refused()
    assert refusal.code == "archive-unreachable"
    assert f"linux={VERSION}" in refusal.found


def test_a_packaging_that_is_not_the_listed_one_is_refused(mirror: Mirror) -> None:
    mirror.publish()
    data = (mirror.pool / PACKAGING).read_bytes()
    (mirror.pool / PACKAGING).write_bytes(data[:-1] + b"!")
    with served(mirror.archive.root) as address:  # for copy: of apt 3, the error is undetermined
        mirror.archive.configure(f"deb [trusted=yes] {address}/debian bookworm main")
        assert mirror.refused().code == "package-corrupt"
    assert not (mirror.kept / PACKAGING).exists()


@pytest.mark.parametrize("missing", ["series", "0003-third.patch"])
def test_a_packaging_without_a_patch_of_the_series_is_refused(mirror: Mirror, missing: str) -> None:
    name = f"debian/patches-rt/{missing}"
    mirror.publish({path: data for path, data in PATCHES.items() if path != name})
    refusal = mirror.refused()
    assert refusal.kind is PACKAGE_CORRUPT
    assert name in refusal.found


@pytest.mark.parametrize(("option", "is_read"), [(b"-p1", True), (b"-p0", False), (b"-R", False)])
def test_a_patch_that_is_to_be_applied_in_another_way_is_refused(
    mirror: Mirror, option: bytes, is_read: bool
) -> None:
    series = SERIES.replace(b"0003-third.patch", b"0003-third.patch " + option)
    mirror.publish(PATCHES | {"debian/patches-rt/series": series})
    if is_read:
        assert len(mirror.patches()) == 3
        return
    refusal = mirror.refused()
    assert refusal.kind is PACKAGE_CORRUPT
    assert refusal.found == f"its series has 0003-third.patch with {option.decode()}"


@pytest.mark.parametrize("length", [0, 40, 0.5, 0.9])
def test_a_kept_packaging_that_is_damaged_is_refused_and_downloaded_again(
    mirror: Mirror, length: float
) -> None:
    mirror.publish({**PATCHES, "debian/changelog": bytes(range(256)) * 1000})
    mirror.patches()
    kept = mirror.kept / PACKAGING
    data = kept.read_bytes()
    kept.write_bytes(data[: int(length * len(data)) if length < 1 else int(length)])
    assert refused(mirror.patches).kind is PACKAGE_CORRUPT
    assert not kept.exists()
    assert len(mirror.patches()) == 3


def test_a_kept_packaging_with_damage_inside_is_refused(mirror: Mirror) -> None:
    mirror.publish()
    mirror.patches()
    kept = mirror.kept / PACKAGING
    kept.write_bytes(lzma.compress(b"no archive" * 1000))
    assert refused(mirror.patches).kind is PACKAGE_CORRUPT
