# SPDX-License-Identifier: GPL-2.0-or-later
"""The result of one check of the host."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from suture.host.packages import Purpose


class CheckStatus(StrEnum):
    """The status of a check.

    :cvar WARNING: something is missing that the host can do without.
    """

    OK = "ok"
    WARNING = "warning"
    LACK = "lack"


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    :ivar found: what the host has, one line.
    :ivar remedy: the way to get what is missing.
    :ivar package: the package with it on this distribution, or "".
    """

    purpose: Purpose
    name: str
    status: CheckStatus
    found: str
    remedy: str = ""
    package: str = ""
