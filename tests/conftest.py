# SPDX-License-Identifier: GPL-2.0-or-later
"""The target that build and lab tests use."""

from __future__ import annotations

import os

import pytest

from suture.kernel.archive import fetch, fetched, offers
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace, prepare

SERIES = "6.1."
FLAVOUR = "-amd64"


@pytest.fixture(scope="session")
def target() -> Target:
    """A 6.1 amd64 release for which the archive has a newer source too, or ``$SUTURE_TEST_RELEASE``.

    One that is here already is taken before one that is to be fetched.
    """
    release = os.environ.get("SUTURE_TEST_RELEASE")
    if release:
        return fetch(release)
    offered = [offer.release for offer in offers() if _is_wanted(offer.release)]
    older = offered[1:] or offered
    here = [known.release for known in fetched() if known.release in older]
    return fetch((here or older)[0])


def _is_wanted(release: str) -> bool:
    """Not ``-cloud-amd64`` or ``-rt-amd64``: those are other configurations."""
    return release.startswith(SERIES) and release.endswith(FLAVOUR) and release.count("-") == 2


@pytest.fixture(scope="session")
def workspace(target: Target) -> Workspace:
    return prepare(target)
