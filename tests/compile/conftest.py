# SPDX-License-Identifier: GPL-2.0-or-later
"""A place for each test in which the command line runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.command import Place


@pytest.fixture
def place(target: Target, workspace: Workspace, tmp_path: Path) -> Place:
    """Where the target is fetched and its workspace prepared."""
    return Place.make(tmp_path, target)
