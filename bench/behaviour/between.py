# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of two revisions, each checked out for the time that it takes."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.behaviour.model import Input, Record
from bench.behaviour.parts import TOP
from bench.behaviour.record import Manner, record


def records(
    before: str, after: str | None, out: Path, inputs: Sequence[Input], manner: Manner
) -> tuple[Record, Record]:
    """Record two revisions in ``out/before`` and ``out/after``; None is the working tree."""
    with _checked_out(before) as checkout:
        old = record(checkout, out / "before", inputs, manner)
    if after is None:
        return old, record(TOP, out / "after", inputs, manner)
    with _checked_out(after) as checkout:
        return old, record(checkout, out / "after", inputs, manner)


@contextmanager
def _checked_out(revision: str) -> Iterator[Path]:
    """A worktree of the revision, which is removed in the end."""
    with tempfile.TemporaryDirectory(prefix="suture-behaviour-") as directory:
        checkout = Path(directory, "checkout")
        _git("worktree", "add", "--quiet", "--detach", str(checkout), revision)
        try:
            yield checkout
        finally:
            _git("worktree", "remove", "--force", str(checkout))


def _git(*words: str) -> None:
    subprocess.run(["git", *words], cwd=TOP, check=True)
