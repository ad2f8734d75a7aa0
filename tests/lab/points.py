# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's end of `tests.lab.inject`: from the lines of a guest to the kills, and what has to be true of them all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.lab.killing import ENDED


def injected(sh: Callable[[str], str], program: str, which: str, *modules: str) -> list[dict[str, Any]]:
    """Kill at ``few`` or ``all`` points, each piece within a step's deadline: the kills that were examined.

    :param sh: runs a command line in the guest.
    :param program: with the operation.
    """
    rows: list[dict[str, Any]] = []
    begin: str | None = which
    while begin is not None:
        lines = [json.loads(line) for line in sh(" ".join([program, begin, *modules])).splitlines()]
        rows += [line for line in lines if "point" in line]
        begin = next((f"{which}:{line['next']}" for line in lines if "next" in line), None)
    assert ENDED not in {row["call"] for row in rows}
    examined = [row for row in rows if not row.get("again")]
    assert [row for row in examined if row["fault"]] == []
    return examined
