# SPDX-License-Identifier: GPL-2.0-or-later
"""What one look at the host says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from suture.host.packages import Purpose


class CheckStatus(StrEnum):
    """:cvar WARNING: something is missing that building and testing can do without."""

    OK = "ok"
    WARNING = "warning"
    LACK = "lack"


@dataclass(frozen=True, slots=True)
class Check:
    """:ivar found: what there is, one line.  :ivar remedy: the way to get what is missing.  :ivar
    package: what brings it on this distribution, or ""."""

    purpose: Purpose
    name: str
    status: CheckStatus
    found: str
    remedy: str = ""
    package: str = ""
