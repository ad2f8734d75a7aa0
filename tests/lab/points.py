# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's end of `tests.lab.inject`: from the lines of a guest to the kills, and what has to be
true of them all.

``SUTURE_EVERY_CALL=FILE`` kills at every system call, and adds each kill to the file, one JSON
document a line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from tests.lab.killing import ENDED

EVERY = os.environ.get("SUTURE_EVERY_CALL", "")


def injected(sh: Callable[[str], str], program: str, *modules: str) -> list[dict[str, Any]]:
    """Kill at ``few`` or ``all`` points, each piece within a step's deadline: the kills that were
    examined.

    :param sh: runs a command line in the guest.
    :param program: with the operation.
    """
    rows: list[dict[str, Any]] = []
    which = "all" if EVERY else "few"
    begin: str | None = which
    while begin is not None:
        lines = [json.loads(line) for line in sh(" ".join([program, begin, *modules])).splitlines()]
        found = [line for line in lines if "point" in line]
        rows += found
        if EVERY:
            with open(EVERY, "a") as file:
                file.writelines(json.dumps({"program": program} | row) + "\n" for row in found)
        begin = next((f"{which}:{line['next']}" for line in lines if "next" in line), None)
    assert ENDED not in {row["call"] for row in rows}
    examined = [row for row in rows if not row.get("again")]
    assert [row for row in examined if row["fault"]] == []
    return examined
