# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of what this host has and lacks for building, testing and loading live patches, with a
remedy for each lack.

A host is judged by what it was installed for.  With the Python packages of the extra ``build`` that
is building and testing, and without them loading: a production host needs no compiler.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from suture.doctor import building, loading, testing
from suture.doctor.check import Check, CheckStatus
from suture.host import distributions
from suture.host.packages import BUILD_MODULES, Purpose

__all__ = ["Check", "CheckStatus", "Report", "examine", "installed_for"]


@dataclass(frozen=True, slots=True)
class Report:
    """The checks of this host.

    :ivar release: the target for which the host was examined.
    :ivar purposes: what the host was judged by.
    """

    release: str
    checks: tuple[Check, ...]
    purposes: tuple[Purpose, ...] = (Purpose.BUILDING, Purpose.TESTING)

    @property
    def ready(self) -> bool:
        """Whether nothing is missing that its purposes need."""
        return all(check.status is not CheckStatus.LACK for check in self.checks)

    @property
    def install(self) -> str:
        """The one command that installs every missing package, or ""."""
        packages = {
            check.package
            for check in self.checks
            if check.package and check.status is not CheckStatus.OK
        }
        line = distributions.here().install_line(sorted(packages)) if packages else ""
        return f"sudo {line}" if line else ""


def installed_for() -> tuple[Purpose, ...]:
    """Return what this host was installed for.

    Some distributions' own programs bring a package or two of the extra ``build``, such as
    python3-debian; most of them only the extra brings.
    """
    if 2 * len(building.missing_modules()) > len(BUILD_MODULES):
        return (Purpose.LOADING,)
    return (Purpose.BUILDING, Purpose.TESTING)


def examine(release: str | None = None, purposes: Sequence[Purpose] = ()) -> Report:
    """Examine this host, without changes, downloads or boots.

    :param release: the target; by default the running kernel.
    :param purposes: by default what the host was installed for; building too if `release` is given.
    """
    wanted = release or platform.release()
    judged = tuple(purposes) or installed_for()
    if release is not None and not purposes and Purpose.BUILDING not in judged:
        judged = (Purpose.BUILDING, *judged)
    is_named = release is not None
    return Report(wanted, tuple(_checks(wanted, judged, not purposes, is_named)), judged)


def _checks(
    release: str, judged: Sequence[Purpose], by_default: bool, is_named: bool
) -> Iterator[Check]:
    if Purpose.BUILDING in judged:
        yield from building.checks(release, named=is_named)
    if Purpose.TESTING in judged:
        if Purpose.BUILDING not in judged:
            yield building.python_check(Purpose.TESTING)
        yield from testing.checks()
    if Purpose.LOADING in judged:
        yield from loading.checks(is_required=True)
    elif by_default:
        yield from loading.checks()
