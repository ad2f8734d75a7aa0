# SPDX-License-Identifier: GPL-2.0-or-later
"""Commits of a git repository, as the patches that ``git format-patch`` makes of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.errors import COMMIT_IS_A_MERGE, COMMIT_UNKNOWN, Refusal
from suture.host.run import run

MOST = 200
"""Commits of one live patch; ``v6.1..v6.2`` has some 15,000, and is a slip."""

SHOWN = 12
"""Hexadecimal digits of a commit, as the kernel's ``Fixes:`` lines have them."""

# What a user's configuration may change in a diff, as Suture reads it.
_SETTINGS = ("diff.noprefix=false", "diff.mnemonicPrefix=false", "core.quotePath=false")
_AS_PATCH = (
    *(
        "format-patch",
        "--stdout",
        "--full-index",
        "--no-signature",
        "--no-signoff",
        "--no-color",
        "--no-ext-diff",
    ),
    *("--no-textconv", "--src-prefix=a/", "--dst-prefix=b/", "--no-attach", "--no-cover-letter"),
    *("--root", "--no-notes", "--no-thread", "--no-base", "--unified=3", "--no-numbered"),
)
_CHANGES = ("diff-tree", "--no-commit-id", "--name-only", "-r", "--root")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit.

    :ivar id: its name, 40 or 64 hexadecimal digits.
    :ivar mail: what ``git format-patch`` writes of it.
    """

    id: str
    mail: bytes


def commits(repository: Path, revision: str, paths: Sequence[str] = ()) -> tuple[Commit, ...]:
    """Return one commit, or those of a range that change something, in order.

    :param revision: a commit (``v6.1.5``, ``1da177e4c3f4``) or a range (``v6.1.4..fix``).
    :param paths: only changes of these files and directories count; empty for all.
    :raises Refusal: ``commit-unknown``, ``commit-is-a-merge``, ``tool-missing``
    """
    named = _named(repository, revision)
    if len(named) > MOST:
        found = f"has {len(named)} commits; a live patch takes up to {MOST}"
        raise Refusal(COMMIT_UNKNOWN, _where(repository, revision), found)
    merges = [one for one in named if len(_text(repository, "rev-parse", f"{one}^@").split()) > 1]
    if merges:
        found = f"{merges[0][:SHOWN]} is a merge"
        raise Refusal(COMMIT_IS_A_MERGE, _where(repository, revision), found)
    # 'git format-patch -1 COMMIT -- PATHS' takes an older commit, if this one changes none of them.
    changing = [one for one in named if _text(repository, *_CHANGES, one, "--", *paths)]
    mails = ((one, git(repository, *_AS_PATCH, "-1", one, "--", *paths)) for one in changing)
    made = tuple(Commit(one, mail) for one, mail in mails if mail)
    if not made:
        among = f" among {', '.join(paths)}" if paths else ""
        raise Refusal(COMMIT_UNKNOWN, _where(repository, revision), f"changes no file{among}")
    return made


def git(repository: Path, command: str, *words: str, tolerant: bool = False) -> bytes:
    """Run git in a repository and return its output.

    :param tolerant: a status that counts conflicts is no failure (``git merge-file``).
    :raises Refusal: ``commit-unknown`` with git's words, ``tool-missing``
    """
    settings = (word for setting in _SETTINGS for word in ("-c", setting))
    # GIT_DIR and others would lead to another repository than the one that is named.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    with tempfile.TemporaryFile() as output:
        finished = run(
            ["git", "-C", repository, *settings, command, *words],
            env=env | {"LC_ALL": "C"},
            stdout=output,
        )
        if finished.status and not (tolerant and 0 < finished.status < 128):
            raise Refusal(
                COMMIT_UNKNOWN,
                str(repository),
                f"git {command} exited with status {finished.status}",
                evidence=finished.stderr.splitlines()[-6:],
            )
        output.seek(0)
        return output.read()


def _named(repository: Path, revision: str) -> list[str]:
    if ".." in revision:
        listed = _text(
            repository, "rev-list", "--reverse", "--topo-order", "--end-of-options", revision
        )
        if not listed.split():
            raise Refusal(COMMIT_UNKNOWN, _where(repository, revision), "holds no commit")
        return listed.split()
    words = ("--verify", "--end-of-options", f"{revision}^{{commit}}")
    return _text(repository, "rev-parse", *words).split()


def _text(repository: Path, *words: str) -> str:
    return git(repository, *words).decode(errors="replace")


def _where(repository: Path, revision: str) -> str:
    return f"{revision} in {repository}"
