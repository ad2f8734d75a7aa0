# SPDX-License-Identifier: GPL-2.0-or-later
"""A source of kernels that Suture has never heard of, plugged in: all that one has to have.

Its archive is a directory with one directory for each kernel, named ``RELEASE_VERSION``.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from suture import sources
from suture.cli import app
from suture.doctor import building
from suture.errors import ARCHIVE_UNREACHABLE, PACKAGE_CORRUPT, SUITE_NOT_FOUND, Refusal
from suture.host.paths import cache
from suture.kernel import image, kallsyms, symvers
from suture.kernel.release import Toolchain
from suture.sources import registry
from suture.sources.source import (
    CompilerOffer,
    KernelSource,
    Offer,
    Parts,
    SourceOffer,
    Survey,
    UnusableKernel,
)
from tests.unit.conftest import RELEASE, bzimage


@dataclass(frozen=True, slots=True)
class Toys:
    """A `KernelSource`."""

    archive: Path
    name: str = "toys"
    refresh: str = ""
    suites: tuple[str, ...] = ()

    def of_suite(self, name: str) -> KernelSource:
        raise Refusal(SUITE_NOT_FOUND, name, "toys have no suites")

    def suites_of(self, release: str) -> tuple[str, ...]:
        return ()

    def compilers(
        self, wanted: str, release: str, *, refresh: bool = True
    ) -> Iterator[CompilerOffer]:
        yield from ()

    def source_offers(self, release: str, *, refresh: bool = True) -> tuple[SourceOffer, ...]:
        return ()

    def is_available(self) -> bool:
        return True

    def survey(self, *, refresh: bool = True) -> Survey:
        if not self.archive.is_dir():
            raise Refusal(ARCHIVE_UNREACHABLE, self.name, "nobody is at home")
        found = sorted(self.archive.iterdir(), reverse=True)
        toys = [Toy(path) for path in found]
        return Survey(
            tuple(toy for toy in toys if toy.is_whole()),
            tuple(
                UnusableKernel(toy.release, toy.version, "it has no image")
                for toy in toys
                if not toy.is_whole()
            ),
        )


@dataclass(frozen=True, slots=True)
class Toy:
    """An `Offer`."""

    path: Path
    suite: str = ""

    @property
    def release(self) -> str:
        return self.path.name.partition("_")[0]

    @property
    def version(self) -> str:
        return self.path.name.partition("_")[2]

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())

    def is_whole(self) -> bool:
        return (self.path / "image").is_file()

    def toolchain(self) -> Toolchain:
        return Toolchain("toy-cc (Toys 1-1) 1.0", ("toy-cc-1-1",))

    def get(self, into: Path) -> Parts:
        if (self.path / "damaged").exists():
            raise Refusal(PACKAGE_CORRUPT, self.path.name, "it is damaged")
        shutil.copytree(self.path, into / "toy")
        toy = into / "toy"
        return Parts(
            self.release,
            self.version,
            image=toy / "image",
            config=toy / "config",
            symvers=toy / "symvers.gz",
            modules=toy / "modules",
            source=toy / "source.tar",
            patches=tuple(sorted(toy.glob("*.patch"))),
            debug=toy / "vmlinux" if (toy / "vmlinux").exists() else None,
            toolchain=self.toolchain(),
        )


@pytest.fixture
def archive(tmp_path: Path, toy_kernel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With one toy; the boot image holds its symbol table."""
    toy = tmp_path / "archive" / f"{RELEASE}_1.0"
    (toy / "modules").mkdir(parents=True)
    (toy / "image").write_bytes(bzimage(gzip.compress(toy_kernel.read_bytes(), mtime=0)))
    (toy / "config").write_text("CONFIG_LIVEPATCH=y\n")
    (toy / "symvers.gz").write_bytes(gzip.compress(b"0x1\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n"))
    (toy / "source.tar").write_bytes(b"source")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    plug_in(monkeypatch, Toys(toy.parent))
    return toy.parent


def plug_in(monkeypatch: pytest.MonkeyPatch, *strangers: KernelSource) -> None:
    monkeypatch.setattr(registry, "SOURCES", strangers)


def test_its_kernels_are_offered(archive: Path) -> None:
    (archive / "6.1.0-empty_1.0").mkdir()
    survey = sources.survey()
    offers: tuple[Offer, ...] = survey.offers
    assert [(offer.release, offer.version) for offer in offers] == [(RELEASE, "1.0")]
    assert survey.left_out == (UnusableKernel("6.1.0-empty", "1.0", "it has no image"),)


def test_its_kernel_becomes_a_target(archive: Path) -> None:
    target = sources.fetch(RELEASE)
    assert (target.release, target.version) == (RELEASE, "1.0")
    assert image.read(target.vmlinux).release == RELEASE
    assert len(kallsyms.read(target.kallsyms).named("same")) == 2
    assert "_printk" in symvers.read(target.symvers).exports, "it came packed"
    assert target.toolchain.packages == ("toy-cc-1-1",)
    shutil.rmtree(archive)
    assert sources.find(RELEASE) == target
    assert sources.fetched() == (target,)


def test_patches_and_a_debug_file_are_kept(archive: Path, toy_kernel: Path) -> None:
    for name in ("1-first.patch", "2-second.patch"):
        (archive / f"{RELEASE}_1.0" / name).write_text("--- a/x\n+++ b/x\n")
    shutil.copy(toy_kernel, archive / f"{RELEASE}_1.0" / "vmlinux")
    target = sources.fetch(RELEASE)
    assert [patch.name for patch in target.patches] == ["1-first.patch", "2-second.patch"]
    assert target.debug is not None
    assert sources.find(RELEASE) == target
    target.patches[0].unlink()
    with pytest.raises(Refusal, match="kernel-not-fetched"):
        sources.find(RELEASE)


def test_what_it_refuses_leaves_nothing(archive: Path) -> None:
    (archive / f"{RELEASE}_1.0" / "damaged").touch()
    with pytest.raises(Refusal, match="package-corrupt"):
        sources.fetch(RELEASE)
    assert [path for path in cache().rglob("*") if path.is_file() and path.name[0] != "."] == []


def test_the_doctor_asks_it_for_the_compiler(archive: Path) -> None:
    known = building.target(RELEASE)
    assert known is not None
    assert known.compiler == "toy-cc (Toys 1-1) 1.0"


def test_a_source_that_does_not_answer_keeps_no_other_from_it(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, Toys(archive / "nowhere"), Toys(archive))
    assert sources.fetch(RELEASE).version == "1.0"
    with pytest.raises(Refusal, match="kernel-not-offered") as refusal:
        sources.fetch("6.1.0-other")
    assert refusal.value.evidence[0] == "no answer: toys: nobody is at home"


def test_a_source_that_does_not_answer_is_named_in_the_list(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plug_in(monkeypatch, Toys(archive / "nowhere"), Toys(archive))
    assert app.main(["kernel", "list"]) == 0
    shown = capsys.readouterr().out
    assert RELEASE in shown
    assert "Not asked: toys: nobody is at home" in shown


def test_no_source_that_answers_is_refused(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, Toys(archive / "nowhere"), Toys(archive / "nowhere"))
    with pytest.raises(Refusal, match="nobody is at home"):
        sources.survey()


def test_a_source_that_does_not_answer_is_named_beside_those_that_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent:
        def is_available(self) -> bool:
            return True

        def suites_of(self, release: str) -> tuple[str, ...]:
            return ()

        def source_offers(self, release: str, *, refresh: bool = True) -> tuple[SourceOffer, ...]:
            raise Refusal(ARCHIVE_UNREACHABLE, "mirror", "it is down")

    class Answering(Silent):
        def source_offers(self, release: str, *, refresh: bool = True) -> tuple[SourceOffer, ...]:
            return (SimpleNamespace(version="2"),)

    said: list[str] = []
    monkeypatch.setattr(registry, "note", said.append)
    monkeypatch.setattr(registry, "SOURCES", (Silent(), Answering()))
    assert [one.version for one in sources.source_offers("6.1-toy", "1")] == ["2"]
    assert said == ["No answer: mirror: it is down"]
    monkeypatch.setattr(registry, "SOURCES", (Silent(),))
    with pytest.raises(Refusal, match="mirror"):
        sources.source_offers("6.1-toy", "1")
