# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that are named by patterns, with the host's own apt on an archive in a directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from suture import sources
from suture.errors import Refusal
from suture.sources.wanted import refuse_unfetched, wanted
from tests.unit.sources.test_debian import Repository, repository, toy_image

__all__ = ["repository", "toy_image"]

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is not installed")


@pytest.fixture
def offered(repository: Repository) -> Repository:
    for release in ("6.1.0-2-amd64", "6.1.0-1-amd64", "6.1.0-1-cloud-amd64"):
        repository.add_kernel(release, f"6.1.{release[6]}-1")
    repository.update()
    return repository


def releases(*names: str) -> list[str]:
    return [kernel.release for kernel in wanted(names)]


def test_patterns_stand_for_what_is_offered(offered: Repository) -> None:
    assert releases("6.1.0-1-*") == ["6.1.0-1-amd64", "6.1.0-1-cloud-amd64"]
    assert releases("*-[12]-amd64") == ["6.1.0-2-amd64", "6.1.0-1-amd64"]
    assert len(releases("all")) == 3


def test_a_kernel_that_several_names_stand_for_counts_once(offered: Repository) -> None:
    assert releases("6.1.0-1-amd64", "6.1.0-?-amd64") == ["6.1.0-1-amd64", "6.1.0-2-amd64"]


def test_a_pattern_without_a_kernel_is_refused_with_some_that_there_are(
    offered: Repository,
) -> None:
    with pytest.raises(Refusal) as caught:
        wanted(["9.*"])
    assert (caught.value.code, caught.value.where) == ("kernel-not-offered", "9.*")
    assert "offered: 6.1.0-2-amd64" in caught.value.evidence


def test_a_name_that_nobody_offers_is_refused_with_those_near_it(offered: Repository) -> None:
    with pytest.raises(Refusal) as caught:
        wanted(["6.1.0-2-amd64", "6.1.0-3-amd64"])
    assert (caught.value.code, caught.value.where) == ("kernel-not-offered", "6.1.0-3-amd64")


def test_what_is_not_here_is_refused_with_what_it_costs(offered: Repository) -> None:
    with pytest.raises(Refusal) as caught:
        refuse_unfetched(wanted(["all"]))
    assert caught.value.code == "kernel-not-fetched"
    assert caught.value.where == "6.1.0-2-amd64 and 2 more"
    assert "--fetch" in caught.value.remedy


def test_what_is_here_is_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def survey(*args: object, **named: object) -> sources.Survey:
        raise AssertionError("the archives were asked")

    monkeypatch.setattr("suture.sources.wanted.survey", survey)
    assert wanted([]) == ()


def test_a_slip_in_a_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Here:
        release = "6.1.0-50-amd64"

    monkeypatch.setattr("suture.sources.store.fetched", lambda: (Here,))
    for slip in ("6.1.0-50", "6.1.0-51-amd64"):
        with pytest.raises(Refusal) as caught:
            sources.find(slip)
        assert caught.value.remedy.startswith("Did you mean 6.1.0-50-amd64?")
    with pytest.raises(Refusal) as caught:
        sources.find("6.12.9-amd64")
    assert "Did you mean" not in caught.value.remedy
