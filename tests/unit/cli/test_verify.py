# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``suture verify`` prints of a comparison with memory."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from suture.cli.verify import for_people
from suture.report.content import LiveMemory, PatchReport
from suture.report.live import live_not_shown
from suture.verify.live.outcome import LiveCheck, LiveOutcome, LiveRole
from tests.unit.report.example import REPORT


def printed(report: PatchReport) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(for_people(report))
    return text.getvalue()


def test_tracers_and_probes_are_told() -> None:
    text = printed(REPORT)
    assert "in memory: vmlinux: mended() calls ftrace_trampoline at its entry" in text
    assert "in memory: vmlinux: mended() has somebody's probe at mended+0x5" in text


def test_without_a_comparison_nothing_is_said_of_memory() -> None:
    for live in (None, LiveMemory("this host runs 6.1")):
        assert "in memory:" not in printed(replace(REPORT, live=live))


def test_what_was_not_compared_is_told_once_with_the_reason() -> None:
    role, reason = LiveRole.REACHED, "udf is not loaded"
    checks = tuple(LiveCheck(role, "udf", name, because=reason) for name in ("one", "other"))
    assert list(live_not_shown(LiveOutcome(checks))) == [
        "The code of 2 functions in memory: not compared, because udf is not loaded."
    ]
    assert list(live_not_shown(LiveOutcome(because="only root can read /proc/kcore"))) == [
        "The code in memory: not compared, because only root can read /proc/kcore."
    ]
