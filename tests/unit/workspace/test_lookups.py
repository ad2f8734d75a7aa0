# SPDX-License-Identifier: GPL-2.0-or-later
"""What is looked up in the whole tree, in the background."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from suture.host.files import TEMPORARY
from suture.workspace.words import WordIndex


def looked_up(what: str, directory: Path) -> None:
    """Run what `suture.workspace.prepare` begins."""
    (directory / "tree/arch/x86").mkdir(parents=True)
    (directory / "tree/gup.c").write_text("int gup;\n")
    workspace = SimpleNamespace(
        tree=directory / "tree",
        directory=directory,
        environment={"SRCARCH": "x86"},
        target=SimpleNamespace(release="6.1"),
    )
    subprocess.run(
        [sys.executable, "-m", "suture.workspace.lookups", what],
        input=pickle.dumps(workspace),
        cwd=directory,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )


def test_the_index_is_made_in_a_process_of_its_own(tmp_path: Path) -> None:
    leftover = tmp_path / "index" / f"{TEMPORARY}killed"
    leftover.mkdir(parents=True)
    looked_up("words", tmp_path)
    assert WordIndex(tmp_path / "tree", "x86", tmp_path / "index/words").files_with(b"gup")
    assert not leftover.exists()


def test_a_failure_in_the_background_is_left_to_who_needs_it(tmp_path: Path) -> None:
    looked_up("objects", tmp_path)
    assert not (tmp_path / "all-objects").exists()
