# SPDX-License-Identifier: GPL-2.0-or-later
"""The targets that build and lab tests use: one of each series that Debian 12 ships, and the newest
that Debian offers for its stable release."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache

import pytest

from suture.errors import ARCHIVE_UNREACHABLE, Refusal
from suture.kernel.release import Target
from suture.sources import Offer, fetch, fetched, offers, survey
from suture.workspace.prepare import Workspace, prepare

SERIES = ("6.1", "6.12")
"""The second has what the first lacks: IBT, call padding, prefix symbols, objtool at the link
only."""

BOTH = os.environ.get("SUTURE_SERIES") == "all"
"""Whether long tests run on both; 'make test' runs each on one (the marker ``make_test_takes``)."""

SUITE, OF_SUITE = "bookworm", re.compile(r"6\.1\.0-\S+|\S+\+deb12\S*")
"""Debian 12's name, and the releases of its kernels: they are the targets on any host."""

FLAVOUR = "-amd64"

FLAVOURS = ("6.1 rt", "6.1 cloud", "6.12 rt", "6.12 cloud")
"""What else is built of the two.  The first differs most, in its source too, and is always
tested."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what 'make test' runs on another series, or not at all."""
    left_out = [] if BOTH else [item for item in items if _is_for_test_all(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _is_for_test_all(item: pytest.Item) -> bool:
    if item.get_closest_marker("only_in_test_all"):
        return True
    marker = item.get_closest_marker("make_test_takes")
    if marker is None or not isinstance(item, pytest.Function):
        return False
    assert marker.args[0] in SERIES
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return bool(params.get("each_target", marker.args[0]) != marker.args[0])


@pytest.fixture(scope="session")
def target() -> Target:
    """A 6.1 amd64 release for which the archive has a newer source too, or
    ``$SUTURE_TEST_RELEASE``."""
    release = os.environ.get("SUTURE_TEST_RELEASE")
    return fetch(release) if release else _of_series("6.1")


@pytest.fixture(scope="session")
def workspace(target: Target) -> Workspace:
    return prepare(target)


@pytest.fixture(scope="session")
def ibt_target() -> Target:
    """The same of 6.12."""
    return _of_series("6.12")


@pytest.fixture(scope="session")
def ibt_workspace(ibt_target: Target) -> Workspace:
    return prepare(ibt_target)


@pytest.fixture(scope="session", params=SERIES)
def each_target(request: pytest.FixtureRequest) -> Target:
    """One after the other, for what has to hold on both."""
    chosen: Target = request.getfixturevalue(
        "target" if request.param == SERIES[0] else "ibt_target"
    )
    return chosen


@pytest.fixture(scope="session")
def each_workspace(each_target: Target) -> Workspace:
    return prepare(each_target)


@pytest.fixture(
    scope="session", params=FLAVOURS if os.environ.get("SUTURE_FLAVOURS") == "all" else FLAVOURS[:1]
)
def flavour_target(request: pytest.FixtureRequest) -> Target:
    """A kernel of another flavour: one that is here, or the newest that the archive has all of.

    A mirror may lack the source package of a kernel that it has, and with it the patches of rt.
    """
    series, flavour = request.param.split()
    wanted = re.compile(rf"{re.escape(series)}\.\S+-{flavour}{FLAVOUR}")
    offered = [release for release in offered_releases() if wanted.fullmatch(release)]
    here = [known.release for known in fetched() if known.release in offered]
    refusals = []
    for release in (*here, *offered):
        try:
            return fetch(release)
        except Refusal as refusal:
            if refusal.code != ARCHIVE_UNREACHABLE.code:
                raise
            refusals.append(str(refusal))
    pytest.fail("\n".join(refusals))


@pytest.fixture(scope="session")
def flavour_workspace(flavour_target: Target) -> Workspace:
    return prepare(flavour_target)


NEWEST_FROM, NEWEST_SUITE = (6, 19), "trixie"
"""The first kernel whose image comes in three packages, and a suite that has such kernels."""

PLAIN = re.compile(r"(\d+)\.(\d+)\.\d+\+deb\d+(\.\d+)?-amd64")
"""A release of Debian's plain flavour since 6.12; not ``-cloud-amd64`` or ``-rt-amd64``."""


TRIXIE_KERNEL = re.compile(r"6\.12\.\d+\+deb13-amd64")


@pytest.fixture(scope="session")
def trixie_target() -> Target:
    """A kernel of Debian 13's own; one that is here already is taken before the newest."""
    here = [target.release for target in fetched() if TRIXIE_KERNEL.fullmatch(target.release)]
    offered = [one.release for one in survey([NEWEST_SUITE]).offers]
    return fetch((here or [one for one in offered if TRIXIE_KERNEL.fullmatch(one)])[0])


@pytest.fixture(scope="session")
def newest_target() -> Target:
    """One of the newest kernels, or ``$SUTURE_TEST_NEWEST``; one that is here already is taken
    before the newest."""
    release = os.environ.get("SUTURE_TEST_NEWEST")
    if release:
        return fetch(release)
    here = [target.release for target in fetched() if _is_new(target.release)]
    offered = [one.release for one in survey([NEWEST_SUITE]).offers if _is_new(one.release)]
    return fetch((here or offered)[0])


@pytest.fixture(scope="session")
def newest_workspace(newest_target: Target) -> Workspace:
    return prepare(newest_target)


def _is_new(release: str) -> bool:
    found = PLAIN.fullmatch(release)
    return found is not None and (int(found[1]), int(found[2])) >= NEWEST_FROM


@cache
def debian_12_offers() -> tuple[Offer, ...]:
    """What Debian 12 offers, from this host's package lists or, if those are another suite's, from
    its own."""
    found = _of_debian_12(offers())
    return found or _of_debian_12(survey([SUITE]).offers)


def _of_debian_12(found: Sequence[Offer]) -> tuple[Offer, ...]:
    return tuple(offer for offer in found if OF_SUITE.fullmatch(offer.release))


def offered_releases() -> tuple[str, ...]:
    return tuple(offer.release for offer in debian_12_offers())


def _of_series(series: str) -> Target:
    """One that is here already is taken before one that is to be fetched."""
    offered = [release for release in offered_releases() if _is_wanted(release, series)]
    older = offered[1:] or offered
    here = [known.release for known in fetched() if known.release in older]
    return fetch((here or older)[0])


def _is_wanted(release: str, series: str) -> bool:
    """Not ``-cloud-amd64`` or ``-rt-amd64``: those are other configurations."""
    return (
        release.startswith(f"{series}.")
        and release.endswith(FLAVOUR)
        and release.count("-") <= 2
        and not ("cloud" in release or "-rt" in release)
    )
