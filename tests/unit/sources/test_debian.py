# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding and fetching Debian's kernels, with the host's own apt on an archive that stands in a directory.

The toy kernel has no kallsyms, so a fetch that gets everything else right ends in
``kallsyms-not-found``; one that goes through is in tests/compile.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from suture import sources
from suture.errors import Refusal
from suture.kernel.release import Toolchain
from suture.sources import apt, shared
from suture.sources.apt import AptPackage
from suture.sources.debian import DebianOffer
from tests.examples import shows
from tests.unit.conftest import RELEASE, bzimage

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is not installed")

VERSION = "6.1.0-1"

CONFIGURATION = b"""\
CONFIG_CC_VERSION_TEXT="x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0"
CONFIG_LIVEPATCH=y
"""


@dataclass(frozen=True)
class Repository:
    """An apt archive in a directory, and an apt that knows only this one (through
    ``APT_CONFIG``)."""

    root: Path
    options: str = "trusted=yes"

    @property
    def pool(self) -> Path:
        return self.root / "pool"

    def add(self, name: str, version: str, files: dict[str, bytes], fields: str = "") -> Path:
        tree = self.root / "build" / f"{name}_{version}"
        for path, content in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(content)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: A <a@b>\nDescription: toy\n"
        (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (tree / "DEBIAN/control").write_text(control + fields)
        deb = self.pool / f"{name}_{version}_amd64.deb"
        subprocess.run(
            ["dpkg-deb", "-Znone", "--root-owner-group", "-b", tree, deb],
            check=True,
            capture_output=True,
        )
        return deb

    def add_kernel(
        self, release: str, version: str = VERSION, image: bytes = b"", *, leave_out: str = ""
    ) -> None:
        headers = f"usr/src/linux-headers-{release}"
        needed = ["linux-compiler-gcc-14-x86"]
        if "-rt-" in release:
            needed.append(f"linux-headers-{release.replace('-rt-amd64', '-common-rt')}")
        symvers = b"0x1\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n"
        packages = {
            f"linux-image-{release}": {
                f"boot/vmlinuz-{release}": image,
                f"lib/modules/{release}/modules.builtin": b"",
            },
            f"linux-headers-{release}": {
                f"{headers}/.config": CONFIGURATION,
                f"{headers}/Module.symvers": symvers,
            },
            "linux-source-6.1": {"usr/src/linux-source-6.1.tar.xz": b"source"},
        }
        for name, files in packages.items():
            if name != leave_out:
                needs = f"Depends: {', '.join(needed)}\n" if "headers" in name else ""
                self.add(name, version, files, needs)

    def add_split_image(self, release: str, image: bytes, *, leave_out: str = "none") -> None:
        modules = f"usr/lib/modules/{release}"
        needs = f"linux-binary-{release} (= {VERSION}), linux-modules-{release} (= {VERSION})"
        self.add(f"linux-image-{release}", VERSION, {}, f"Depends: {needs}\n")
        packages = {
            "linux-binary-": {f"{modules}/vmlinuz": image},
            "linux-modules-": {f"{modules}/dummy.ko": b""},
            "linux-base-": {f"{modules}/modules.builtin": b""},
        }
        for name, files in packages.items():
            if name != leave_out:
                self.add(f"{name}{release}", VERSION, files)

    def update(self) -> None:
        index = []
        for deb in sorted(self.pool.glob("*.deb")):
            name, version, _ = deb.name.split("_")
            data = deb.read_bytes()
            fields = subprocess.run(
                ["dpkg-deb", "--field", deb, "Depends"], capture_output=True, text=True
            ).stdout.strip()
            index.append(
                f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: A <a@b>\n"
                f"Filename: ./{deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
                + (f"Depends: {fields}\n" if fields else "")
            )
        (self.pool / "Packages").write_text("\n".join(index))
        subprocess.run(["apt-get", "update"], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return make_repository(tmp_path, monkeypatch, "trusted=yes")


def make_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str) -> Repository:
    root = tmp_path / "apt"
    for directory in ("etc", "state/lists/partial", "cache/archives/partial"):
        (root / directory).mkdir(parents=True)
    (tmp_path / "pool").mkdir()
    (root / "etc/sources.list").write_text(f"deb [{options}] file:{tmp_path}/pool ./\n")
    (root / "state/status").touch()
    configuration = {
        "Dir::Etc": root / "etc",
        "Dir::Etc::sourcelist": root / "etc/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::State": root / "state",
        "Dir::State::status": root / "state/status",
        "Dir::Cache": root / "cache",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "root",
    }
    text = "".join(f'{name} "{value}";\n' for name, value in configuration.items())
    (root / "apt.conf").write_text(text)
    monkeypatch.setenv("APT_CONFIG", str(root / "apt.conf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return Repository(tmp_path)


@pytest.fixture
def toy_image(stripped_kernel: bytes) -> bytes:
    packed = subprocess.run(
        ["gzip", "-n"], input=stripped_kernel, capture_output=True, check=True
    ).stdout
    return bzimage(packed)


def left_in(tmp_path: Path) -> list[str]:
    """What a fetch left in the cache, but for locks and whole packages."""
    cache = tmp_path / "xdg/suture"
    paths = (
        str(path.relative_to(cache))
        for path in cache.rglob("*")
        if path.is_file() or path.suffix == ".deb"
    )
    ours = (".lock", ".deb", "offered")
    return sorted(path for path in paths if not path.endswith(ours))


def refused(call: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        call()
    assert "Traceback" not in str(refusal.value)
    return refusal.value


def test_kernels_with_all_three_packages_are_offered_newest_first(repository: Repository) -> None:
    for release, version in (("6.1.0-9-amd64", "6.1.9-1"), ("6.1.0-10-amd64", "6.1.10-1")):
        repository.add_kernel(release, version)
    repository.add("linux-image-6.1.0-10-cloud-amd64", "6.1.10-1", {})
    repository.add("linux-headers-6.1.0-10-cloud-amd64", "6.1.10-1", {})
    repository.update()
    offers = sources.offers()
    assert [(offer.release, offer.version) for offer in offers] == [
        ("6.1.0-10-amd64", "6.1.10-1"),
        ("6.1.0-10-cloud-amd64", "6.1.10-1"),
        ("6.1.0-9-amd64", "6.1.9-1"),
    ]
    sizes = [path.stat().st_size for path in repository.pool.glob("linux-*6.1.9-1*.deb")]
    assert offers[-1].size == sum(sizes)
    assert isinstance(offers[-1], DebianOffer)
    assert [package.version for package in offers[-1].packages] == ["6.1.9-1"] * 3


def test_a_kernel_without_headers_or_source_of_its_version_is_left_out_with_the_reason(
    repository: Repository,
) -> None:
    repository.add_kernel("6.1.0-1-amd64", "6.1.1-1", leave_out="linux-headers-6.1.0-1-amd64")
    repository.add_kernel("6.1.0-2-amd64", "6.1.2-1", leave_out="linux-source-6.1")
    repository.update()
    survey = sources.survey()
    assert survey.offers == ()
    reasons = {left.release: left.reason for left in survey.left_out}
    assert "linux-headers-6.1.0-1-amd64" in reasons["6.1.0-1-amd64"]
    assert "linux-source-6.1" in reasons["6.1.0-2-amd64"]
    refusal = refused(lambda: sources.fetch("6.1.0-2-amd64"))
    assert refusal.code == "kernel-not-offered"
    assert "linux-source-6.1" in refusal.found


def test_an_image_of_several_packages_is_put_together(
    repository: Repository, tmp_path: Path, toy_kernel: Path
) -> None:
    """As Debian splits its kernels from 6.19 on."""
    packed = subprocess.run(
        ["gzip", "-n"], input=toy_kernel.read_bytes(), capture_output=True, check=True
    ).stdout
    repository.add_kernel(RELEASE, leave_out=f"linux-image-{RELEASE}")
    repository.add_split_image(RELEASE, bzimage(packed))
    repository.update()
    (offer,) = sources.offers()
    assert isinstance(offer, DebianOffer)
    assert len(offer.packages) == 5
    assert offer.toolchain() == Toolchain("gcc-14", ("gcc-14",))
    target = sources.fetch(RELEASE)
    assert target.vmlinuz.name == "vmlinuz"
    assert sorted(path.name for path in target.modules.iterdir()) == [
        "dummy.ko",
        "modules.builtin",
        "vmlinuz",
    ]
    assert target.toolchain.packages == ("gcc-14=14.2.0-19",)


def test_a_split_image_without_its_modules_is_left_out(repository: Repository) -> None:
    repository.add_kernel(RELEASE, leave_out=f"linux-image-{RELEASE}")
    repository.add_split_image(RELEASE, b"", leave_out="linux-modules-")
    repository.update()
    (left_out,) = sources.survey().left_out
    assert f"linux-modules-{RELEASE}" in left_out.reason


def test_only_images_that_are_booted_count(repository: Repository) -> None:
    repository.add_kernel("6.1.0-1-amd64")
    for name in (
        "6.1.0-1-amd64-dbg",
        "6.1.0-1-amd64-unsigned",
        "6.1-amd64",
        "amd64",
        "amd64-signed-template",
    ):
        repository.add(f"linux-image-{name}", VERSION, {})
        repository.add(f"linux-headers-{name}", VERSION, {})
    repository.update()
    survey = sources.survey()
    assert [offer.release for offer in survey.offers] == ["6.1.0-1-amd64"]
    assert survey.left_out == ()


def test_kernels_that_are_too_old_are_left_out_and_say_so(repository: Repository) -> None:
    for release, version in (("5.10.0-46-amd64", "5.10.262-1"), ("6.1.0-1-amd64", "6.1.1-1")):
        repository.add_kernel(release, version)
    repository.update()
    survey = sources.survey()
    assert [offer.release for offer in survey.offers] == ["6.1.0-1-amd64"]
    assert [left.release for left in survey.left_out] == ["5.10.0-46-amd64"]
    refusal = refused(lambda: sources.fetch("5.10.0-46-amd64"))
    assert refusal.code == "kernel-not-offered"
    assert "before 6.1" in refusal.found


def test_two_uploads_under_one_release_are_told_apart_by_version(repository: Repository) -> None:
    repository.add_kernel("6.1.0-1-amd64", "6.1.1-1")
    repository.add_kernel("6.1.0-1-amd64", "6.1.1-2")
    repository.update()
    assert [offer.version for offer in sources.offers()] == ["6.1.1-2", "6.1.1-1"]
    assert sources.survey().offer("6.1.0-1-amd64").version == "6.1.1-2"
    assert sources.survey().offer("6.1.0-1-amd64", "6.1.1-1").version == "6.1.1-1"
    shows(refused(lambda: sources.survey().offer("6.1.0-1-amd64", "6.1.1-3")), "kernel-not-offered")


def test_a_kernel_that_nobody_offers_is_refused_with_those_near_it(repository: Repository) -> None:
    repository.add_kernel("6.1.0-1-amd64")
    repository.update()
    refusal = refused(lambda: sources.fetch("6.1.0-2-amd64"))
    assert refusal.code == "kernel-not-offered"
    assert refusal.evidence == ("offered: 6.1.0-1-amd64",)


@pytest.mark.parametrize("release", ["", ".", "..", "../../etc", "a/b", "-o", "6.1.0\0"])
def test_what_is_no_release_is_refused_before_anything_is_touched(
    repository: Repository, tmp_path: Path, release: str
) -> None:
    repository.add_kernel("6.1.0-1-amd64")
    repository.update()
    assert refused(lambda: sources.fetch(release)).code in (
        "kernel-not-fetched",
        "kernel-not-offered",
    )
    assert refused(lambda: sources.find(release)).code == "kernel-not-fetched"
    assert left_in(tmp_path) == []


def test_apt_without_any_sources_is_refused(repository: Repository) -> None:
    repository.update()
    refusal = refused(sources.offers)
    shows(refusal, "archive-unreachable")
    assert "apt-get update" in refusal.remedy


def test_no_apt_at_all_is_refused(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    shows(refused(sources.offers), "tool-missing")


def test_everything_but_the_toys_symbols_is_found(
    repository: Repository, tmp_path: Path, toy_image: bytes
) -> None:
    repository.add_kernel(RELEASE, image=toy_image)
    repository.update()
    assert refused(lambda: sources.fetch(RELEASE)).code == "kallsyms-not-found"
    shows(refused(lambda: sources.find(RELEASE)), "kernel-not-fetched")
    assert sources.fetched() == ()
    assert left_in(tmp_path) == []


def test_packages_are_kept_and_not_downloaded_again(
    repository: Repository, tmp_path: Path, toy_image: bytes
) -> None:
    repository.add_kernel(RELEASE, image=toy_image)
    repository.update()
    refused(lambda: sources.fetch(RELEASE))
    for deb in repository.pool.glob("*.deb"):
        deb.unlink()
    assert refused(lambda: sources.fetch(RELEASE)).code == "kallsyms-not-found"
    kept = tmp_path / f"xdg/suture/packages/linux-image-{RELEASE}_{VERSION}_amd64.deb"
    kept.write_bytes(kept.read_bytes()[:-1])
    refusal = refused(lambda: sources.fetch(RELEASE))
    assert refusal.code == "archive-unreachable", "the damaged one is asked for again"
    assert refusal.evidence


def test_packages_go_when_the_kernel_is_complete(
    repository: Repository, tmp_path: Path, toy_kernel: Path
) -> None:
    repository.add_kernel(RELEASE, image=whole_image(toy_kernel))
    repository.update()
    other = tmp_path / "xdg/suture/packages/other_1_amd64.deb"
    other.parent.mkdir(parents=True)
    other.touch()
    target = sources.fetch(RELEASE)
    assert list(other.parent.glob("*.deb")) == [other], "of another kernel, which is not complete"
    manifest = json.loads((target.vmlinux.parent / "target.json").read_text())
    assert manifest["packages"] == {
        deb.name: hashlib.sha256(deb.read_bytes()).hexdigest()
        for deb in repository.pool.glob("*.deb")
    }


def test_the_source_of_another_flavour_is_not_downloaded(
    repository: Repository, tmp_path: Path, toy_kernel: Path
) -> None:
    repository.add_kernel(RELEASE, image=whole_image(toy_kernel))
    flavour = RELEASE.replace("-amd64", "-cloud-amd64")
    repository.add_kernel(flavour, image=whole_image(toy_kernel))
    repository.update()
    first = sources.fetch(RELEASE)
    (repository.pool / f"linux-source-6.1_{VERSION}_amd64.deb").unlink()
    # All of it is got; the toy's image says that it is of the first release.
    assert refused(lambda: sources.fetch(flavour)).code == "image-malformed"
    assert first.source.exists()


def test_a_shared_source_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = tmp_path / "suture/kernels/6.1.0-1-amd64/6.1.1-1"
    below = Path("usr/src/linux-source-6.1.tar.xz")
    (here / "source" / below).parent.mkdir(parents=True)
    (here / "source" / below).write_bytes(b"source")
    part = {"path": f"source/{below}", "size": 6}
    document = {"parts": {"source": part}, "packages": {"linux-source-6.1.deb": "abc"}}
    (here / "target.json").write_text(json.dumps(document))
    into = tmp_path / "new"
    assert not shared.link("linux-source-6.1.deb", "other", into, below)
    assert not shared.link("linux-source-6.12.deb", "abc", into, below)
    assert not into.exists()
    assert shared.link("linux-source-6.1.deb", "abc", into, below)
    assert (into / "source" / below).samefile(here / "source" / below)
    (here / "source" / below).write_bytes(b"cut")
    assert not shared.link("linux-source-6.1.deb", "abc", tmp_path / "third", below)
    for damaged in ("{}", "no JSON", '{"parts": {"source": 1}, "packages": []}'):
        (here / "target.json").write_text(damaged)
        assert not shared.link("linux-source-6.1.deb", "abc", tmp_path / "third", below)


def whole_image(toy_kernel: Path) -> bytes:
    """An image with a symbol table, so that the toy's symbols are found."""
    packed = subprocess.run(
        ["gzip", "-n"], input=toy_kernel.read_bytes(), capture_output=True, check=True
    ).stdout
    return bzimage(packed)


def test_a_damaged_kept_package_is_replaced(
    repository: Repository, tmp_path: Path, toy_image: bytes
) -> None:
    repository.add_kernel(RELEASE, image=toy_image)
    repository.update()
    packages = tmp_path / "xdg/suture/packages"
    packages.mkdir(parents=True)
    (packages / f"linux-source-6.1_{VERSION}_amd64.deb").write_bytes(b"half")
    assert refused(lambda: sources.fetch(RELEASE)).code == "kallsyms-not-found"
    kept, offered = (
        path / f"linux-source-6.1_{VERSION}_amd64.deb" for path in (packages, repository.pool)
    )
    assert kept.read_bytes() == offered.read_bytes()


def test_a_package_that_is_cut_off_in_the_archive_is_refused(
    repository: Repository, tmp_path: Path, toy_image: bytes
) -> None:
    repository.add_kernel(RELEASE, image=toy_image)
    repository.update()
    deb = repository.pool / f"linux-headers-{RELEASE}_{VERSION}_amd64.deb"
    deb.write_bytes(deb.read_bytes()[:-100])
    shows(refused(lambda: sources.fetch(RELEASE)), "package-corrupt")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("content", [b"this is no package", b"!<arch>\ndebian-binary   "], ids=repr)
def test_a_foreign_file_that_the_index_calls_a_package_is_refused(
    repository: Repository, tmp_path: Path, toy_image: bytes, content: bytes
) -> None:
    repository.add_kernel(RELEASE, image=toy_image)
    name = f"linux-source-6.1_{VERSION}_amd64.deb"
    (repository.pool / name).write_bytes(content)
    repository.update()
    refusal = refused(lambda: sources.fetch(RELEASE))
    assert refusal.code == "package-corrupt"
    assert left_in(tmp_path) == []
    assert not (tmp_path / "xdg/suture/packages" / name).exists(), (
        "it is not to be taken for good next time"
    )


@pytest.mark.parametrize(
    ("package", "part"),
    [
        (f"linux-image-{RELEASE}", "vmlinuz"),
        (f"linux-headers-{RELEASE}", ".config"),
        ("linux-source-6.1", "linux-source-6.1.tar.xz"),
    ],
)
def test_a_package_without_the_part_that_it_is_for_is_refused(
    repository: Repository, tmp_path: Path, toy_image: bytes, package: str, part: str
) -> None:
    repository.add_kernel(RELEASE, image=toy_image, leave_out=package)
    repository.add(package, VERSION, {"usr/share/doc/readme": b"nothing here"})
    repository.update()
    refusal = refused(lambda: sources.fetch(RELEASE))
    assert refusal.code == "package-corrupt"
    assert part in refusal.found
    assert left_in(tmp_path) == []


def test_an_image_of_another_release_is_refused(
    repository: Repository, tmp_path: Path, toy_image: bytes
) -> None:
    repository.add_kernel("6.1.0-1-amd64", image=toy_image)
    repository.update()
    refusal = refused(lambda: sources.fetch("6.1.0-1-amd64"))
    assert refusal.code == "image-malformed"
    assert RELEASE in refusal.found
    assert left_in(tmp_path) == []


def test_a_truncated_image_in_a_whole_package_is_refused(
    repository: Repository, tmp_path: Path, toy_image: bytes
) -> None:
    repository.add_kernel(RELEASE, image=toy_image[:3000])
    repository.update()
    assert refused(lambda: sources.fetch(RELEASE)).code == "image-malformed"
    assert left_in(tmp_path) == []


def test_lists_that_are_out_of_date_are_refused(repository: Repository, tmp_path: Path) -> None:
    repository.add_kernel(RELEASE)
    repository.update()
    for deb in repository.pool.glob("*.deb"):
        deb.unlink()
    refusal = refused(lambda: sources.fetch(RELEASE))
    assert refusal.code == "archive-unreachable"
    assert "apt-get update" in refusal.remedy
    assert left_in(tmp_path) == []


def test_an_archive_without_a_signature_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository(tmp_path, monkeypatch, "allow-insecure=yes")
    repository.add_kernel(RELEASE)
    repository.update()
    shows(refused(lambda: sources.fetch(RELEASE)), "package-untrusted")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "manifest", ["", "[]", "{}", "{", '{"format": 1}', '{"format": 99}'], ids=repr
)
def test_a_directory_without_a_whole_manifest_counts_as_not_fetched(
    repository: Repository, tmp_path: Path, manifest: str
) -> None:
    directory = tmp_path / f"xdg/suture/kernels/{RELEASE}/{VERSION}"
    directory.mkdir(parents=True)
    (directory / "target.json").write_text(manifest)
    assert refused(lambda: sources.find(RELEASE)).code == "kernel-not-fetched"
    assert sources.fetched() == ()


@pytest.mark.parametrize("kilobytes", [16, 48, 200, 300, 400])
def test_a_full_disk_is_refused_and_leaves_nothing_half_done(
    repository: Repository, tmp_path: Path, toy_image: bytes, kilobytes: int
) -> None:
    repository.add_kernel(RELEASE, image=toy_image + bytes(150_000))
    repository.update()
    disk = tmp_path / "xdg"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "suture-test", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system can only be mounted with CAP_SYS_ADMIN")
    try:
        refusal = refused(lambda: sources.fetch(RELEASE))
        assert refusal.code == "disk-full", str(refusal)
        assert left_in(tmp_path) == []
        assert not list(disk.rglob(".part-*"))
        assert sources.fetched() == ()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


CHANGELOG = "linux (6.1.9-1) bookworm; urgency=medium\n"


def source_package(content: bytes = b"source", changelog: bytes | None = None) -> dict[str, bytes]:
    packed = gzip.compress(CHANGELOG.encode(), mtime=0) if changelog is None else changelog
    return {
        "usr/src/linux-source-6.1.tar.xz": content,
        "usr/share/doc/linux-source-6.1/changelog.Debian.gz": packed,
    }


def test_newer_sources_are_offered_newest_first_without_their_kernels(
    repository: Repository,
) -> None:
    for version in ("6.1.9-1", "6.1.10-1", "6.1.8-1"):
        repository.add("linux-source-6.1", version, source_package())
    repository.add("linux-source-6.12", "6.12.9-1", source_package())
    repository.update()

    def offered(version: str) -> list[str]:
        return [one.name for one in sources.source_offers("6.1.0-8-amd64", version)]

    assert offered("6.1.8-1") == ["linux-source-6.1 6.1.10-1", "linux-source-6.1 6.1.9-1"]
    assert offered("6.1.10-1") == []


def test_a_source_is_unpacked_and_its_package_dropped(
    repository: Repository, tmp_path: Path
) -> None:
    repository.add("linux-source-6.1", "6.1.9-1", source_package())
    repository.update()
    (offer,) = sources.source_offers("6.1.0-8-amd64", "6.1.8-1")
    found = offer.get(tmp_path / "here")
    assert (found.archive.read_bytes(), found.changelog) == (b"source", CHANGELOG)
    assert list((tmp_path / "xdg/suture/packages").glob("*.deb")) == []


def test_the_source_of_a_kernel_that_is_here_is_not_downloaded(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deb = repository.add("linux-source-6.1", "6.1.9-1", source_package())
    repository.update()
    (offer,) = sources.source_offers("6.1.0-8-amd64", "6.1.8-1")
    target = tmp_path / "xdg/suture/kernels/6.1.0-9-amd64/6.1.9-1"
    for path, content in source_package().items():
        (target / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (target / "source" / path).write_bytes(content)
    place = "source/usr/src/linux-source-6.1.tar.xz"
    described = {
        "parts": {"source": {"path": place, "size": 6}},
        "packages": {deb.name: hashlib.sha256(deb.read_bytes()).hexdigest()},
    }
    (target / "target.json").write_text(json.dumps(described))
    deb.unlink()
    found = offer.get(tmp_path / "here")
    assert (found.archive, found.changelog) == (target / place, CHANGELOG)
    (target / place).write_bytes(b"another")
    assert refused(lambda: offer.get(tmp_path / "here")).code != ""


@pytest.mark.parametrize(
    "files",
    [
        {"usr/src/other.tar.xz": b""},
        source_package(changelog=b"no gzip"),
        {"usr/src/linux-source-6.1.tar.xz": b"source"},
    ],
)
def test_a_source_package_without_a_part_is_refused(
    files: dict[str, bytes], repository: Repository, tmp_path: Path
) -> None:
    repository.add("linux-source-6.1", "6.1.9-1", files)
    repository.update()
    (offer,) = sources.source_offers("6.1.0-8-amd64", "6.1.8-1")
    assert refused(lambda: offer.get(tmp_path / "here")).code == "package-corrupt"


def test_only_the_wanted_files_of_a_package_are_unpacked(
    repository: Repository, tmp_path: Path
) -> None:
    wanted = "usr/src/linux-headers-6.1/.config"
    files = {wanted: b"CONFIG_X=y\n", "usr/src/linux-headers-6.1/include/x.h": b""}
    deb = repository.add("linux-headers-6.1", VERSION, files)
    package = AptPackage("linux-headers-6.1", VERSION, "amd64", 0, "")
    into = tmp_path / "into"
    apt.unpack_only(package, deb.parent, into, (wanted, "usr/none"))
    found = {str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()}
    assert found == {wanted}
    assert (into / wanted).read_bytes() == b"CONFIG_X=y\n"
    deb.write_bytes(deb.read_bytes()[:3000])
    assert refused(lambda: apt.unpack_only(package, deb.parent, into, ())).code == "package-corrupt"
    assert not deb.exists()
