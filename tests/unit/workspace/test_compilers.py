# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiler must be the target's: this host's own, one unpacked beside it, or nearly the same."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from suture import sources
from suture.doctor import building
from suture.doctor.check import Check, CheckStatus
from suture.errors import ARCHIVE_UNREACHABLE, Level, Refusal
from suture.sources import CompilerOffer
from suture.sources.compiler import UnpackedCompiler, toolchains
from suture.workspace import compilers
from tests.examples import shows

GCC = subprocess.run(
    ["gcc", "--version"], capture_output=True, text=True, check=True
).stdout.partition("\n")[0]


def config(tmp_path: Path, text: str, gcc: bool = True) -> Path:
    path = tmp_path / "config"
    path.write_text(f'CONFIG_CC_VERSION_TEXT="{text}"\n' + ("CONFIG_CC_IS_GCC=y\n" if gcc else ""))
    return path


def test_the_compiler_of_the_target_is_taken(tmp_path: Path) -> None:
    found = compilers.compiler(config(tmp_path, GCC))
    assert (found.command, found.version) == ("gcc", GCC)
    assert found.variables == ("CC=gcc",)
    assert found.identity == GCC
    assert compilers.findings(found) == ()


@pytest.mark.parametrize("text", [f"{GCC}.1", "gcc-nowhere (Debian 1.0) 1.0", ""])
def test_another_compiler_is_refused_with_both_lines(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refusal) as caught:
        compilers.compiler(config(tmp_path, text))
    assert caught.value.code == "compiler-mismatch"
    assert text in str(caught.value)


def test_a_kernel_built_by_clang_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        compilers.compiler(config(tmp_path, "Debian clang version 14.0.6", gcc=False))
    assert caught.value.code == "compiler-mismatch"


@dataclass(frozen=True)
class Offered:
    """A `CompilerOffer` of a compiler that says what it is told to."""

    version: str
    is_exact: bool
    name: str = "toy-gcc=1-1 of Toys"

    def get(self) -> UnpackedCompiler:
        directory = toolchains() / "gcc-99-toy"
        program = directory / "bin/gcc-99"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.with_name("x86_64-linux-gnu-gcc-99").symlink_to(program.name)
        made = UnpackedCompiler(directory, self.version, "gcc-99", "bin", "Toys", {"toy-gcc": "1"})
        made.save(directory)
        return made


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[CompilerOffer]:
    """What sources of kernels offer, besides a cache with nothing in it."""
    offered: list[CompilerOffer] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sources, "compilers", lambda *_, refresh=True: (offered, []))
    return offered


EXACT = "(Debian 99.1.0-1) 99.1.0"


def test_one_that_is_not_here_is_unpacked_once(
    archive: list[CompilerOffer], tmp_path: Path
) -> None:
    archive.append(Offered(EXACT, is_exact=True))
    found = compilers.compiler(config(tmp_path, f"gcc-99 {EXACT}"))
    assert found.is_exact
    assert found.command == str(toolchains() / "gcc-99-toy/bin/gcc-99")
    assert found.origin == "unpacked from Toys"
    assert f"LD={toolchains()}/gcc-99-toy/bin/ld" in found.variables
    assert not [one for one in found.variables if one.startswith("HOST")]
    archive.clear()
    assert compilers.compiler(config(tmp_path, f"gcc-99 {EXACT}")) == found
    by_triplet = compilers.compiler(config(tmp_path, f"x86_64-linux-gnu-gcc-99 {EXACT}"))
    assert by_triplet.is_exact
    assert by_triplet.command.endswith("/bin/x86_64-linux-gnu-gcc-99")


def test_one_that_is_no_longer_whole_is_unpacked_again(
    archive: list[CompilerOffer], tmp_path: Path
) -> None:
    directory = toolchains() / "gcc-99-toy"
    directory.mkdir(parents=True)
    (directory / "toolchain.json").write_text("{")
    archive.append(Offered(EXACT, is_exact=True))
    assert compilers.compiler(config(tmp_path, f"gcc-99 {EXACT}")).is_exact


def test_another_upload_is_tried_with_a_warning(
    archive: list[CompilerOffer], tmp_path: Path
) -> None:
    archive.append(Offered("(Debian 99.1.0-2) 99.1.0", is_exact=False))
    found = compilers.compiler(config(tmp_path, f"gcc-99 {EXACT}"))
    assert not found.is_exact
    (finding,) = compilers.findings(found)
    assert finding.level is Level.WARN
    shows(finding, "compiler-differs")
    assert compilers.present(f"gcc-99 {EXACT}") is None, "the very one is still looked for"


def test_this_hosts_of_the_same_version_is_tried_with_a_warning(
    archive: list[CompilerOffer], tmp_path: Path
) -> None:
    upstream = GCC.rpartition(") ")[2]
    wanted = f"x86_64-linux-gnu-gcc (Debian 1-1) {upstream}"
    found = compilers.compiler(config(tmp_path, wanted))
    assert found.version.endswith(upstream)
    assert not found.is_exact
    assert found.identity != wanted
    assert compilers.findings(found)[0].kind.code == "compiler-differs"


def test_a_source_that_does_not_answer_is_named(
    archive: list[CompilerOffer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Refusal(ARCHIVE_UNREACHABLE, "toys", "nobody is at home")
    monkeypatch.setattr(sources, "compilers", lambda *_, refresh=True: ([], [silent]))
    with pytest.raises(Refusal) as caught:
        compilers.compiler(config(tmp_path, f"gcc-99 {EXACT}"))
    assert caught.value.code == "compiler-mismatch"
    assert "no answer: toys: nobody is at home" in caught.value.evidence


def test_the_doctor_says_which_one_a_build_takes_and_why(archive: list[CompilerOffer]) -> None:
    def check(offered: Sequence[CompilerOffer]) -> Check:
        archive[:] = offered
        return building.compiler_check(f"gcc-99 {EXACT}")

    assert check(()).status is CheckStatus.LACK
    other = check([Offered("(Debian 99.1.0-2) 99.1.0", is_exact=False)])
    assert other.status is CheckStatus.WARNING
    assert "no archive has gcc-99" in other.found
    exact = Offered(EXACT, is_exact=True)
    offered = check([exact])
    assert offered.status is CheckStatus.OK
    assert "unpacks toy-gcc=1-1 of Toys beside it" in offered.found
    unversioned = building.compiler_check("gcc-99")
    assert unversioned.status is CheckStatus.OK
    assert "here: toy-gcc=1-1 of Toys" in unversioned.found
    exact.get()
    kept = check(())
    assert kept.status is CheckStatus.OK
    assert f"unpacked from Toys to {toolchains()}" in kept.found
