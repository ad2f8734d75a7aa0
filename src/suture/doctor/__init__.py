# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of what this host has and lacks for building, testing and loading live patches, with a
remedy for each lack."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from suture.doctor import building, loading, testing
from suture.doctor.check import Check, CheckStatus
from suture.host import distributions

__all__ = ["Check", "CheckStatus", "Report", "examine"]


@dataclass(frozen=True, slots=True)
class Report:
    """The checks of this host.

    :ivar release: the target for which the host was examined.
    """

    release: str
    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing is missing that building or testing needs."""
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


def examine(release: str | None = None) -> Report:
    """Examine this host, without changes, downloads or boots.

    :param release: the target; by default the running kernel.
    """
    wanted = release or platform.release()
    checks = (
        *building.checks(wanted, named=release is not None),
        *testing.checks(),
        *loading.checks(),
    )
    return Report(wanted, checks)
