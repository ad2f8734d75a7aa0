# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches that are built again: what is refused before and after the build;
tests/lab/test_rebuild.py builds."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suture import rebuild as rebuild_module
from suture.core import change, installing
from suture.core.store import Store
from suture.elf import reader, writer
from suture.errors import PATCH_ALREADY_APPLIED, Refusal
from suture.module import carried
from suture.rebuild import RebuildOptions, RebuildState, Rebuilt, rebuild, rebuild_files
from tests.examples import shows
from tests.unit.module.test_staying import MODULE
from tests.unit.toolchain import compile_c

OLD, NEW = "6.1.0-9-amd64", "6.1.0-10-amd64"


def module(archive: bytes = b"") -> bytes:
    made = reader.read(compile_c(MODULE), "livepatch_fix.ko")
    return writer.write(carried.with_source(made, archive))


@pytest.fixture
def options(tmp_path: Path) -> RebuildOptions:
    (tmp_path / "lib").mkdir(mode=0o755)
    store = Store(tmp_path / "lib" / "suture", anchor=tmp_path, owner=os.geteuid())
    return RebuildOptions(store=store, change=change.Options(journal=None))


def keep(options: RebuildOptions, *, archive: bytes = b"", signed: bool = False) -> None:
    options.store.install(
        module(archive),
        OLD,
        "livepatch_fix",
        replaces=True,
        origin="",
        require_signature=signed,
    )


def only(options: RebuildOptions) -> Rebuilt:
    (found,) = rebuild(NEW, options=options)
    return found


def refused(found: Rebuilt) -> Refusal:
    assert found.state is RebuildState.REFUSED
    assert found.is_missing
    assert found.refusal is not None
    return found.refusal


def test_a_module_without_sources_is_not_built_again(tmp_path: Path) -> None:
    (tmp_path / "livepatch_fix.ko").write_bytes(module())
    chosen = RebuildOptions(tmp_path)
    (found,) = rebuild_files(NEW, [tmp_path / "livepatch_fix.ko"], options=chosen)
    shows(refused(found), "sources-not-carried")
    assert (found.name, found.origin) == ("livepatch_fix", OLD)


def test_one_that_needs_a_signature_needs_a_signer(options: RebuildOptions) -> None:
    keep(options, archive=b"sources", signed=True)
    shows(refused(only(options)), "signer-needed")


def test_only_what_is_installed_for_another_kernel_is_meant(options: RebuildOptions) -> None:
    keep(options)
    with pytest.raises(Refusal, match="not-installed"):
        list(rebuild(NEW, ["other"], options=options))
    assert list(rebuild(OLD, options=options)) == []
    options.store.install(module(), NEW, "livepatch_fix", replaces=True, origin="")
    assert only(options).state is RebuildState.KEPT
    assert not only(options).is_missing


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand in for the builder and for the store's lock, journal and units."""
    monkeypatch.setattr(rebuild_module, "_built", lambda *_: (module(b"new"), None))
    installed: list[dict[str, Any]] = []

    def install(data: bytes, where: str, **how: Any) -> None:
        installed.append({"data": data, **how})

    monkeypatch.setattr(installing, "install", install)
    return installed


class Failed:
    """A report of the lab's about a live patch that did harm."""

    passed = False
    failure = None
    findings = ("the new code did not run",)
    complaints = ()


def test_what_fails_in_the_lab_is_not_installed(
    options: RebuildOptions, built: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Target:
        release = NEW

    monkeypatch.setattr(rebuild_module, "_built", lambda *_: (module(b"new"), Target()))
    monkeypatch.setattr("suture.lab.livepatch.try_out", lambda *_: Failed())
    keep(options, archive=b"sources")
    found = refused(only(options))
    shows(found, "lab-test-failed")
    assert found.evidence == ("the new code did not run",)
    assert built == []


def test_the_new_one_is_installed_as_the_old_one_was(
    options: RebuildOptions, built: list[dict[str, Any]]
) -> None:
    keep(options, archive=b"sources")
    found = only(replace(options, is_tested=False))
    assert (found.state, found.is_tested, found.is_missing) == (
        RebuildState.INSTALLED,
        False,
        False,
    )
    (how,) = built
    assert (how["data"], how["enabled"], how["require_signature"]) == (module(b"new"), True, False)
    assert how["options"].replace, "what replaces what was decided for the old kernel"


def test_a_build_for_other_hosts_writes_files(
    options: RebuildOptions, built: list[dict[str, Any]], tmp_path: Path
) -> None:
    keep(options, archive=b"sources")
    found = only(replace(options, is_tested=False, output=tmp_path / "out"))
    assert found.state is RebuildState.WRITTEN
    assert Path(found.path).read_bytes() == module(b"new")
    assert (Path(found.path).name, built) == (f"livepatch_fix-{NEW}.ko", [])


def test_a_source_that_has_the_fix_is_recorded(
    options: RebuildOptions, built: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object) -> None:
        raise Refusal(PATCH_ALREADY_APPLIED, "fix.patch", "the target has it")

    monkeypatch.setattr(rebuild_module, "_built", build)
    keep(options, archive=b"sources")
    found = only(options)
    assert (found.state, found.is_missing) == (RebuildState.FIXED, False)
    assert "its source has the fix (fix.patch: the target has it)" in found.because
    assert options.store.fixed(NEW)["livepatch_fix"].because == found.because
    assert only(options).state is RebuildState.FIXED, "without a build"
