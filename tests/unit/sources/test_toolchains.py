# SPDX-License-Identifier: GPL-2.0-or-later
"""Which package of which suite has a kernel's compiler, on archives that stand in a directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from suture import sources
from suture.errors import Refusal
from suture.sources import apt, debian_suites
from suture.sources.debian_toolchains import DebianToolchain
from tests.unit.sources.test_suites import Archive, archive, published

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is not installed")

__all__ = ["archive", "published"]

EXACT = "gcc-14 (Debian 14.2.0-19) 14.2.0"
RELEASE = "6.1.7+deb13-amd64"


@pytest.fixture
def compilers(archive: Archive) -> Archive:
    """trixie has two uploads of GCC 14.2 and one of 14.3, and bookworm has 12."""
    archive.empty()
    archive.add("gcc-12", "12.2.0-14+deb12u1", {})
    archive.publish("bookworm")
    archive.empty()
    archive.add("libc6", "2.41-12", {})
    archive.add("cpp-14", "14.2.0-19", {}, "Depends: libc6\n")
    archive.add("cpp-14", "14.2.0-20", {}, "Depends: libc6\n")
    for version in ("14.2.0-19", "14.2.0-20"):
        archive.add("gcc-14", version, {}, f"Depends: cpp-14 (= {version})\nRecommends: libx\n")
    archive.add("gcc-14", "14.3.0-1", {})
    archive.publish("trixie")
    return archive


def names(wanted: str, *, refresh: bool = True) -> list[tuple[str, bool]]:
    offers, refusals = sources.compilers(wanted, RELEASE, refresh=refresh)
    assert refusals == []
    return [(offer.name, offer.is_exact) for offer in offers]


def test_the_very_package_is_offered_alone(compilers: Archive) -> None:
    assert names(EXACT) == [("gcc-14=14.2.0-19 of Debian trixie", True)]
    assert names(f"x86_64-linux-gnu-{EXACT}") == [("gcc-14=14.2.0-19 of Debian trixie", True)]


def test_other_uploads_of_the_version_are_offered_where_the_very_one_is_gone(
    compilers: Archive,
) -> None:
    found = names("gcc-14 (Debian 14.2.0-18) 14.2.0")
    assert sorted(found) == [
        ("gcc-14=14.2.0-19 of Debian trixie", False),
        ("gcc-14=14.2.0-20 of Debian trixie", False),
    ]


def test_the_compiler_of_another_suite_than_the_kernels_is_found(compilers: Archive) -> None:
    found = names("gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0")
    assert found == [("gcc-12=12.2.0-14+deb12u1 of Debian bookworm", True)]


@pytest.mark.parametrize(
    "wanted", ["gcc-14 (Debian 14.1.0-1) 14.1.0", "gcc (GCC) 11.5.0", "clang version 14", ""]
)
def test_what_no_suite_has_is_not_offered(compilers: Archive, wanted: str) -> None:
    assert [offer.name for offer in sources.compilers(wanted, RELEASE)[0]] == []


def test_no_list_is_downloaded_to_answer_the_doctor(compilers: Archive) -> None:
    assert names(EXACT, refresh=False) == []
    debian_suites.lists("trixie").refreshed()
    assert names(EXACT, refresh=False) == [("gcc-14=14.2.0-19 of Debian trixie", True)]


def test_a_compiler_without_all_of_its_packages_is_refused(
    compilers: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offer,) = sources.compilers(EXACT, RELEASE)[0]
    assert isinstance(offer, DebianToolchain)
    read = apt.packages
    monkeypatch.setattr(
        apt, "packages", lambda *words: [one for one in read(*words) if one.name != "libc6"]
    )
    with pytest.raises(Refusal) as caught:
        apt.closure(["gcc-14=14.2.0-19"], offer.archives)
    assert caught.value.found == "the package lists lack libc6=2.41-12"


def test_all_that_it_depends_on_is_resolved_as_on_an_empty_system(
    compilers: Archive, tmp_path: Path
) -> None:
    (offer,) = sources.compilers(EXACT, RELEASE)[0]
    assert isinstance(offer, DebianToolchain)
    closure = apt.closure(["gcc-14=14.2.0-19"], offer.archives)
    assert sorted(package.file_name for package in closure) == [
        "cpp-14_14.2.0-19_amd64.deb",
        "gcc-14_14.2.0-19_amd64.deb",
        "libc6_2.41-12_amd64.deb",
    ]
    apt.download(closure, tmp_path / "got", offer.archives)
    assert len(list((tmp_path / "got").glob("*.deb"))) == 3
