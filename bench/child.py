# SPDX-License-Identifier: GPL-2.0-or-later
"""One command line, run in a process of its own that writes down its steps and its memory.

    python -m bench.child RECORD.json build fix.patch --kernel RELEASE

It is ``suture`` itself: only where the steps are reported to is another place.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from suture.cli import app
from suture.host.progress import reporter

KIB = 1024


class Recorder:
    """A `suture.host.progress.Reporter` that remembers."""

    def __init__(self) -> None:
        self.steps: list[dict[str, object]] = []
        self._open: list[dict[str, object]] = []

    def begin(self, what: str, detail: str) -> None:
        step: dict[str, object] = {"depth": len(self._open), "name": what, "seconds": 0.0}
        self.steps.append(step)
        self._open.append(step)

    def end(self, what: str, seconds: float, *, failed: bool) -> None:
        self._open.pop()["seconds"] = seconds

    def advance(self, done: int, total: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def peak_memory() -> int:
    """The most bytes that this process ever had resident.

    Not ``ru_maxrss``: Linux lets that begin with what the parent had when it started us
    (``fs/exec.c: exec_mmap()``).
    """
    status = Path("/proc/self/status").read_text()
    match = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(match[1]) * KIB if match else 0


def main(record: Path, arguments: Sequence[str]) -> int:
    recorder = Recorder()
    reporter.set(recorder)
    status = app.main(arguments)
    record.write_text(json.dumps({"steps": recorder.steps, "peak": peak_memory()}))
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
