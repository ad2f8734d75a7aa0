# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said of a patch that replaces nothing."""

from __future__ import annotations

from suture.builder.differences import nothing_left
from tests.examples import shows


def test_a_patch_whose_files_stay_as_they_are_is_refused() -> None:
    shows(nothing_left((), ["test.c"]), "no-code-change")
