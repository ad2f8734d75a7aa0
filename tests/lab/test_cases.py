# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches that went wrong in a booted kernel once, built and tried (tests/cases)."""

from __future__ import annotations

import suture
from suture.kernel.release import Target
from tests.compile.test_cases import CASES


def test_new_code_of_a_library_module_is_resolved_when_it_is_there(target: Target) -> None:
    """null_blk calls a new function of configfs, which calls one that configfs had."""
    artifact = suture.build([CASES / "lib-module-new-fn.patch"], target)
    script = (CASES / "lib-module-new-fn.check.sh").read_bytes()
    report = suture.try_out(artifact, target, script=script)
    assert report.passed, report.failure or report.complaints
    before, patched, after = (run.output for run in report.scripts)
    assert patched == "suture: is_root is 2\n"
    assert before == after
    assert "memory_backed" in before
