# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture`` of some checkout, run in a place where nothing depends on that checkout's path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LIMIT = 1200.0
"""Seconds that one command may take."""

TIMED_OUT = 124


class Failed(Exception):
    """A command that prepares the recording ended in a way that it may not."""


@dataclass(frozen=True, slots=True)
class Program:
    """The program, and the directories that it works in.

    :ivar checkout: a directory with ``src/suture``.
    :ivar cache: ``XDG_CACHE_HOME``; its path is the same for all checkouts.
    :ivar temporary: ``TMPDIR``.
    """

    checkout: Path
    cache: Path
    temporary: Path

    def run(self, words: tuple[str, ...], directory: Path) -> subprocess.CompletedProcess[str]:
        """One command line, with ``--json``; one that takes too long ends as timeout(1) says it."""
        command = [sys.executable, "-m", "suture", *words, "--json"]
        try:
            return subprocess.run(
                command,
                cwd=directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, TIMED_OUT, "", "it took too long")

    def ask(self, *words: str) -> dict[str, object]:
        """The document that a command prints, which has to end well."""
        done = self.run(words, self.temporary)
        if done.returncode:
            raise Failed(f"suture {' '.join(words)}: {done.stdout}{done.stderr}")
        document: dict[str, object] = json.loads(done.stdout)
        return document

    def check(self) -> None:
        """Make sure that it is this checkout's code that is run, whatever else is installed."""
        command = [sys.executable, "-c", "import suture; print(suture.__file__)"]
        environment = self._environment()
        done = subprocess.run(
            command, cwd=self.temporary, env=environment, capture_output=True, text=True, check=True
        )
        if self.checkout / "src" not in Path(done.stdout.strip()).parents:
            raise Failed(f"{done.stdout.strip()} would be run, not {self.checkout}")

    def _environment(self) -> dict[str, str]:
        ours = {
            "PYTHONPATH": str(self.checkout / "src"),
            "XDG_CACHE_HOME": str(self.cache),
            "TMPDIR": str(self.temporary),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "100",
        }
        return {**os.environ, **ours}
