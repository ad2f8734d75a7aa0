# SPDX-License-Identifier: GPL-2.0-or-later
"""The order of versions, beside dpkg's."""

from __future__ import annotations

from itertools import combinations

import pytest
from debian.debian_support import Version

from suture.sources import versions

OLD_TO_NEW = (
    "",
    "5.14.0-503.11.1.el9",
    "5.14.0-503.14.1.el9",
    "6.1.9-1",
    "6.1.9-1+b1",
    "6.1.10-1~deb11u1",
    "6.1.10-1",
    "6.1.176-1",
    "6.4.0-150600.23.7",
    "6.8.0-31.31",
    "6.8.0-31.31.1",
    "6.12.115-2~deb12u1",
    "6.13~rc7-1~exp1",
    "6.13-1",
    "1:6.1-1",
)


@pytest.mark.parametrize(("older", "newer"), [*combinations(OLD_TO_NEW, 2)])
def test_older_versions_sort_before_newer_as_dpkg_sorts_them(older: str, newer: str) -> None:
    assert versions.key(older) < versions.key(newer)
    if older:
        assert Version(older) < Version(newer)


def test_what_only_rpm_writes_has_a_place_too() -> None:
    assert versions.key("6.4.0-1_SUSE") < versions.key("6.4.0-2_SUSE")
