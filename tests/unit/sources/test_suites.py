# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels of other suites than the host's, with the host's own apt on archives that stand in a
directory: ``debian/`` has several suites, and the host is configured for one of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from suture import sources
from suture.cli import app
from suture.doctor import building
from suture.errors import Refusal
from suture.sources import apt, debian_suites
from suture.sources.apt_entries import entries
from tests.examples import shows
from tests.unit.sources.test_debian import Repository, make_repository, refused

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is not installed")


@dataclass(frozen=True)
class Archive(Repository):
    """An archive with suites, each with the packages that are in the pool when it is published."""

    def publish(self, suite: str) -> None:
        index = self.root / "debian/dists" / suite / "main/binary-amd64/Packages"
        index.parent.mkdir(parents=True, exist_ok=True)
        text = subprocess.run(
            ["dpkg-scanpackages", "--multiversion", "pool"],
            cwd=self.root / "debian",
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        index.write_text(text)
        digest = hashlib.sha256(index.read_bytes()).hexdigest()
        (self.root / "debian/dists" / suite / "Release").write_text(
            f"Origin: Debian\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n"
            f"SHA256:\n {digest} {index.stat().st_size} main/binary-amd64/Packages\n"
        )

    def empty(self) -> None:
        for deb in self.pool.glob("*.deb"):
            deb.unlink()

    @property
    def pool(self) -> Path:
        return self.root / "debian/pool"

    def configure(self, *lines: str) -> None:
        (self.root / "apt/etc/sources.list").write_text("".join(f"{line}\n" for line in lines))
        subprocess.run(["apt-get", "update"], check=True, capture_output=True)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive: ``trixie`` has a kernel that ``bookworm`` has not, and its backports another."""
    archive = Archive(tmp_path_factory.mktemp("published"))
    archive.pool.mkdir(parents=True)
    archive.add_kernel("6.1.0-1-amd64", "6.1.1-1")
    for suite in ("bookworm", "bookworm-updates", "bookworm-backports"):
        archive.publish(suite)
    archive.add_kernel("6.1.7+deb13-amd64", "6.1.7-1")
    for suite in ("trixie", "trixie-updates"):
        archive.publish(suite)
    archive.add_kernel("6.1.9+deb13-amd64", "6.1.9-1~bpo13+1")
    archive.publish("trixie-backports")
    return archive.root / "debian"


@pytest.fixture
def archive(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """The archive, and a host that is configured for bookworm."""
    make_repository(tmp_path, monkeypatch, "trusted=yes")
    shutil.copytree(published, tmp_path / "debian")
    archive = Archive(tmp_path)
    archive.configure(f"deb [trusted=yes] copy:{tmp_path}/debian bookworm main")
    return archive


def releases(survey: sources.Survey) -> list[str]:
    return [offer.release for offer in survey.offers]


def test_kernels_of_a_suite_and_of_what_completes_it_are_listed_beside_the_hosts(
    archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    assert releases(sources.survey()) == ["6.1.0-1-amd64"]
    survey = sources.survey(["trixie"])
    assert releases(survey) == ["6.1.0-1-amd64", "6.1.9+deb13-amd64", "6.1.7+deb13-amd64"]
    assert [offer.suite for offer in survey.offers] == ["", "trixie", "trixie"]
    assert app.main(["kernel", "list", "--suite", "trixie-backports"]) == 0
    shown = capsys.readouterr().out
    assert "6.1.9+deb13-amd64" in shown


def test_every_suite_that_there_is_is_listed_and_those_that_are_not_are_named(
    archive: Archive,
) -> None:
    survey = sources.survey(["all"])
    assert "6.1.9+deb13-amd64" in releases(survey)
    assert [refusal.code for refusal in survey.unanswered] == ["suite-not-found"] * 2


def test_the_host_stays_as_it_is(archive: Archive, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "apt").rglob("*")}
    sources.survey(["trixie"])
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "apt").rglob("*")} == before


def test_a_release_is_looked_for_in_the_suite_that_its_name_tells(archive: Archive) -> None:
    assert sources.find_offer("6.1.7+deb13-amd64").suite == "trixie"
    assert sources.find_offer("6.1.9+deb13-amd64").version == "6.1.9-1~bpo13+1"
    refusal = refused(lambda: sources.fetch("6.1.7+deb13-amd64"))
    assert refusal.code == "image-malformed", "the download is what the archive has: an empty file"
    refusal = refused(lambda: sources.find_offer("6.1.8+deb13-amd64"))
    assert refusal.code == "kernel-not-offered"


def test_a_suite_that_cannot_offer_its_kernel_says_why(archive: Archive) -> None:
    archive.add_kernel("6.1.30+deb13-amd64", "6.1.30-1", leave_out="linux-source-6.1")
    archive.publish("trixie")
    refusal = refused(lambda: sources.find_offer("6.1.30+deb13-amd64"))
    assert refusal.code == "kernel-not-offered"
    assert "linux-source-6.1" in refusal.found


def test_a_host_without_lists_still_finds_it(archive: Archive, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "apt/state/lists")
    (tmp_path / "apt/state/lists/partial").mkdir(parents=True)
    assert sources.find_offer("6.1.7+deb13-amd64").suite == "trixie"


def test_the_doctor_downloads_no_list(archive: Archive) -> None:
    assert building.target("6.1.7+deb13-amd64") is None
    sources.survey(["trixie"])
    known = building.target("6.1.7+deb13-amd64")
    assert known is not None
    assert known.compiler == "gcc-14"


def test_lists_are_kept_until_they_are_old_or_turn_out_to_be(
    archive: Archive, tmp_path: Path
) -> None:
    sources.survey(["trixie"])
    archive.empty()
    archive.add_kernel("6.1.20+deb13-amd64", "6.1.20-1")
    archive.publish("trixie")
    assert "6.1.20+deb13-amd64" not in releases(sources.survey(["trixie"]))
    old = time.time() - debian_suites.REFRESH_SECONDS - 1
    os.utime(tmp_path / "xdg/suture/suites/trixie/refreshed", (old, old))
    assert "6.1.20+deb13-amd64" in releases(sources.survey(["trixie"]))


def test_old_lists_serve_where_the_archive_does_not_answer(
    archive: Archive, tmp_path: Path
) -> None:
    sources.survey(["trixie"])
    shutil.rmtree(tmp_path / "debian/dists")
    os.utime(tmp_path / "xdg/suture/suites/trixie/refreshed", (0, 0))
    assert "6.1.7+deb13-amd64" in releases(sources.survey(["trixie"]))


def test_a_host_with_other_archives_gets_its_suites_from_these(
    archive: Archive, tmp_path: Path
) -> None:
    sources.survey(["trixie"])
    shutil.copytree(tmp_path / "debian", tmp_path / "other-debian")
    archive.configure(f"deb [trusted=yes] copy:{tmp_path}/other-debian bookworm main")
    shutil.rmtree(tmp_path / "debian")
    assert "6.1.7+deb13-amd64" in releases(sources.survey(["trixie"]))
    text = (tmp_path / "xdg/suture/suites/trixie/debian.sources").read_text()
    assert f"URIs: copy:{tmp_path}/other-debian\n" in text


def test_a_suite_that_the_archive_does_not_have_is_refused(archive: Archive) -> None:
    (refusal,) = sources.survey(["duke"]).unanswered
    shows(refusal, "suite-not-found")
    assert "duke" in refusal.found


@pytest.mark.parametrize("name", ["", "../x", "Trixie", "-o", "a b", "a/b"])
def test_what_is_no_name_of_a_suite_is_refused(archive: Archive, name: str) -> None:
    assert refused(lambda: sources.survey([name])).code == "suite-not-found"


def test_a_host_without_any_archive_of_debian_is_refused(archive: Archive, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "debian", tmp_path / "others")
    for release in (tmp_path / "others/dists").glob("*/Release"):
        release.write_text(release.read_text().replace("Origin: Debian", "Origin: Others"))
    archive.configure(f"deb [trusted=yes] copy:{tmp_path}/others bookworm main")
    (refusal,) = sources.survey(["trixie"]).unanswered
    shows(refusal, "suite-unconfigured")


def test_a_suite_that_is_signed_with_no_key_of_this_host_is_refused(
    archive: Archive, tmp_path: Path
) -> None:
    """As Debian 13 on a host whose debian-archive-keyring is older."""
    archive.configure(f"deb [allow-insecure=yes] copy:{tmp_path}/debian bookworm main")
    (tmp_path / "apt/etc/sources.list").write_text(f"deb copy:{tmp_path}/debian bookworm main\n")
    (refusal,) = sources.survey(["trixie"]).unanswered
    assert refusal.code == "package-untrusted"
    assert "debian-archive-keyring" in refusal.remedy


def test_lists_that_have_expired_are_refused_as_such(archive: Archive, tmp_path: Path) -> None:
    release = tmp_path / "debian/dists/trixie/Release"
    day = "Sat, 01 Jan 2000 00:00:00 UTC"
    release.write_text(f"Date: {day}\nValid-Until: {day}\n{release.read_text()}")
    (refusal,) = sources.survey(["trixie"]).unanswered
    assert refusal.code == "archive-unreachable"
    assert "expired" in refusal.found


def test_lists_of_source_packages_are_apart(archive: Archive, tmp_path: Path) -> None:
    dists = tmp_path / "debian/dists/trixie"
    (dists / "main/source").mkdir()
    text = "Package: linux\nVersion: 6.1.7-1\nDirectory: pool\nFiles:\n"
    (dists / "main/source/Sources").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    with (dists / "Release").open("a") as release:
        release.write(f" {digest} {len(text)} main/source/Sources\n")
    lists = debian_suites.lists("trixie", source_packages=True)
    archives = lists.refreshed()
    assert apt.listed_suites(archives, "Sources") == {"trixie"}
    assert apt.listed_suites(archives) == set()
    assert lists.directory != debian_suites.lists("trixie").directory


def entries_of(tmp_path: Path, name: str, text: str) -> list[tuple[object, ...]]:
    directory = tmp_path / "apt/etc/sources.list.d"
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)
    configuration = Path(os.environ["APT_CONFIG"])
    configuration.write_text(
        configuration.read_text().replace(
            '"Dir::Etc::sourceparts" "/dev/null"', f'"Dir::Etc::sourceparts" "{directory}"'
        )
        + f'Dir::Etc::sourceparts "{directory}";\n'
    )
    return [
        (entry.types, entry.uris, entry.suites, entry.components, dict(entry.options))
        for entry in entries()
        if entry.file.name == name
    ]


def test_entries_of_one_line(archive: Archive, tmp_path: Path) -> None:
    text = (
        "# deb http://no/debian bookworm main\n"
        "\n"
        "deb [ arch=amd64,i386 signed-by=/k/a.gpg,/k/b.gpg lang+=de ] http://a/debian bookworm main contrib # why\n"
        "  deb-src\thttp://a/debian\tbookworm\tmain\n"
        "deb http://flat/debian ./\n"
        "rpm http://a/debian bookworm main\n"
    )
    assert entries_of(tmp_path, "a.list", text) == [
        (
            ("deb",),
            ("http://a/debian",),
            ("bookworm",),
            ("main", "contrib"),
            {"Signed-By": "/k/a.gpg /k/b.gpg"},
        ),
        (("deb-src",), ("http://a/debian",), ("bookworm",), ("main",), {}),
        (("deb",), ("http://flat/debian",), ("./",), (), {}),
    ]


def test_entries_with_fields(archive: Archive, tmp_path: Path) -> None:
    text = (
        "# comment\n\n"
        "Types: deb deb-src\nURIs: http://a/debian http://b/debian\n"
        "suites: bookworm\n bookworm-updates\nComponents: main\n# inside\nCheck-Valid-Until: no\n"
        "Architectures: amd64\n\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://c/debian\nSuites: bookworm\nComponents: main\n\n"
        "Types: deb\nURIs: http://d/debian\nSuites: sid\nComponents: main\nSigned-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    first, second = entries_of(tmp_path, "a.sources", text)
    assert first == (
        ("deb", "deb-src"),
        ("http://a/debian", "http://b/debian"),
        ("bookworm", "bookworm-updates"),
        ("main",),
        {"Check-Valid-Until": "no"},
    )
    assert second[1] == ("http://d/debian",)
    options = second[4]
    assert isinstance(options, dict)
    assert options["Signed-By"].splitlines()[2] == " ."


def test_security_has_its_own_archive_and_keeps_its_own_key(
    archive: Archive, tmp_path: Path
) -> None:
    (tmp_path / "apt/etc/sources.list").write_text(
        "deb [signed-by=/k/a.gpg] copy:/nowhere/a/debian bookworm main non-free\n"
        "deb [signed-by=/k/a.gpg] copy:/nowhere/a/debian bookworm-updates main\n"
        "deb [signed-by=/k/s.gpg] copy:/nowhere/a/debian-security bookworm-security main\n"
        "deb [signed-by=/k/h.gpg] copy:/nowhere/apt.example.org bookworm main\n"
        "deb-src [signed-by=/k/a.gpg] copy:/nowhere/src/debian bookworm main\n"
    )
    lists = debian_suites.lists("trixie")
    refused(lists.refreshed)
    assert (lists.directory / "debian.sources").read_text() == (
        "Types: deb\nURIs: copy:/nowhere/a/debian\nSuites: trixie trixie-updates trixie-backports\n"
        "Components: main\nTargets: Packages\nSigned-By: /k/a.gpg\n"
        "\n"
        "Types: deb\nURIs: copy:/nowhere/a/debian-security\nSuites: trixie-security\n"
        "Components: main\nTargets: Packages\nSigned-By: /k/s.gpg\n"
    )


@pytest.mark.parametrize(
    ("release", "suites"),
    [
        ("6.12.118+deb13-amd64", ("trixie",)),
        ("7.3.4+deb13-cloud-amd64", ("trixie",)),
        ("6.12.95+deb12-amd64", ("bookworm",)),
        ("6.1.0-50-amd64", ("bookworm",)),
        ("6.1.0-0.deb11.52-amd64", ("bullseye",)),
        ("5.10.0-46-amd64", ("bullseye",)),
        ("7.2.13+deb14-amd64", ("sid",)),
        ("7.2.13-amd64", ("sid",)),
        ("6.12.41-amd64", ("trixie", "sid")),
        ("6.12.9+bpo-amd64", ("trixie", "bookworm", "bullseye")),
        ("5.14.0-427.el9.x86_64", ()),
    ],
)
def test_where_a_release_is_from(release: str, suites: tuple[str, ...]) -> None:
    assert debian_suites.suites_of(release) == suites


def test_versions_of_the_hosts_suite_are_not_listed_twice(archive: Archive) -> None:
    survey = sources.survey(["bookworm", "bookworm-backports"])
    assert releases(survey) == ["6.1.0-1-amd64"]


def test_a_package_of_a_suite_is_downloaded_from_its_archive(
    archive: Archive, tmp_path: Path
) -> None:
    archives = debian_suites.lists("trixie").refreshed()
    (package,) = apt.packages("linux-source-6.1", archives)[:1]
    apt.download([package], tmp_path / "got", archives)
    assert (tmp_path / "got" / package.file_name).is_file()
    for deb in archive.pool.glob("*.deb"):
        deb.unlink()
    (tmp_path / "got" / package.file_name).unlink()
    with pytest.raises(Refusal, match="archive-unreachable"):
        apt.download([package], tmp_path / "got", archives)
