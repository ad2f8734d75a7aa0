# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest in which ``suture`` runs as it runs on a host (`tests.lab.runtime`)."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from suture.lab.machine import Machine

DEADLINE = 600


@dataclass(frozen=True, slots=True)
class Done:
    """What one command came to."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def refusal(self) -> str:
        """What it printed of one, without the steps before."""
        return self.err[self.err.index("error[") :]

    def is_refused(self, code: str, found: str) -> bool:
        assert (self.status, self.out) == (1, ""), self
        assert f"error[{code}]: " in self.err, self.err
        assert found in self.err, self.err
        return True


class Host:
    """A guest with Suture and the modules of `tests.lab.modules` in ``/lp``."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def suture(self, *lines: str, uid: int = 0) -> list[Done]:
        """Command lines, one after the other in one process."""
        result = self.machine.run(f"UID_THEN={uid} sutures {shlex.join(lines)}", deadline=DEADLINE)
        assert result.status == 0, result.text
        return [Done(*done) for done in json.loads(result.text.splitlines()[-1])]

    def sh(self, command: str) -> str:
        result = self.machine.run(command, deadline=DEADLINE)
        assert result.status == 0, result.text
        return result.text

    def loaded(self) -> list[str]:
        """What the kernel says: modules with the taint of live patches, and the core's
        directories."""
        found = self.sh(
            "cd /sys/module; grep -l K */taint 2>/dev/null | cut -d/ -f1; ls /sys/kernel/livepatch; true"
        )
        return sorted(found.split())
