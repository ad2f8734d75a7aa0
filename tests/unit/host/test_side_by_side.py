# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs in processes of their own, side by side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from suture.host.progress import Silent, note, reporter, step
from suture.host.side_by_side import Job, side_by_side, workers


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def notes() -> Notes:
    kept = Notes()
    reporter.set(kept)
    return kept


def test_each_job_gives_its_result_and_has_a_process_of_its_own() -> None:
    jobs = [Job(name, os.getpid) for name in "abc"]
    found = dict(side_by_side(jobs, 2))
    assert sorted(found) == [0, 1, 2]
    assert len({os.getpid(), *found.values()}) == 4


def test_no_more_than_so_many_run_at_a_time(tmp_path: Path) -> None:
    def run() -> int:
        mine = tmp_path / str(os.getpid())
        mine.touch()
        count = len(list(tmp_path.iterdir()))
        time.sleep(0.05)
        mine.unlink()
        return count

    jobs = [Job(str(number), run) for number in range(6)]
    counts = [count or 0 for _, count in side_by_side(jobs, 2)]
    assert max(counts) <= 2
    assert len(counts) == 6


def test_what_a_job_reports_has_its_name_before_it(notes: Notes) -> None:
    def run() -> None:
        note("a fact")
        with step("Outer", "x"), step("Inner"):
            pass

    list(side_by_side([Job("6.1", run)], 1))
    assert notes.texts == ["6.1: a fact", "6.1: Outer: x … 0.0 s"]


def test_a_process_that_is_killed_has_no_result_and_the_others_have_theirs() -> None:
    def killed() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 1

    found = dict(side_by_side([Job("a", killed), Job("b", lambda: 2)], 2))
    assert found == {0: None, 1: 2}


INTERRUPTED = """
import os, sys, time
from pathlib import Path
from suture.host.failures import end_like_ctrl_c
from suture.host.side_by_side import Job, side_by_side
end_like_ctrl_c()
def run():
    mine = Path(sys.argv[1], str(os.getpid()))
    try:
        mine.touch()
        time.sleep(60)
    finally:
        mine.unlink()
try:
    list(side_by_side([Job("a", run), Job("b", run)], 2))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_ends_the_caller_ends_the_jobs_which_clean_up(
    tmp_path: Path, number: signal.Signals
) -> None:
    # Whoever runs the tests may have a signal ignored.
    command = ["env", "--default-signal", sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while len(list(tmp_path.iterdir())) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    out, _ = process.communicate()
    assert out == "interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_memory_bounds_how_many_fit() -> None:
    assert workers(1 << 60) == 1
    assert workers(1) == len(os.sched_getaffinity(0))
