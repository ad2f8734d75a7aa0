# SPDX-License-Identifier: GPL-2.0-or-later
"""Git repositories for tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

DATES = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2026-01-02T03:04:05Z")
IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.org")


class Repository:
    """A repository whose commits have the same ids in every run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        command = ["git", "-C", str(self.root), *IDENTITY, *words]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=os.environ | DATES
        ).stdout

    def write(self, path: str, text: str | bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def commit(self, title: str) -> str:
        """Commit all that was written, and return the commit's id."""
        self.git("add", ".")
        self.git("commit", "-q", "-m", title)
        return self.git("rev-parse", "HEAD").strip()
