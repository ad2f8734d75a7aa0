# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``make bench`` makes of what it measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import machine
from bench.child import Recorder, peak_memory
from bench.measure import REST, Failed, Run, Step, recorded, suture, timed_run
from bench.report import MEGABYTE, Measured, Report
from suture.cli import output
from tests.unit.builder.test_compare_objects import CHANGED, SOURCE, SYMBOLS, SYMVERS
from tests.unit.toolchain import compile_c

SLOW = Run(10.0, 9.0, 300 * MEGABYTE, (Step(0, "Unpacking", 4.0), Step(1, "Opening", 1.0)))
FAST = Run(6.0, 5.0, 200 * MEGABYTE, (Step(0, "Unpacking", 2.0), Step(1, "Opening", 0.5)))
FLOOR = Measured("floor", "the compiler", (Run(2.0, 2.0),))


def report(target: float) -> Report:
    return Report(
        {"cores": "2"}, "6.1.0-1-amd64", (Measured("warm", "a build", (SLOW, FAST), target),), FLOOR
    )


def test_the_rest_is_what_no_step_accounts_for_and_parts_are_not_counted_twice() -> None:
    assert SLOW.shares == (Step(0, "Unpacking", 4.0), Step(1, "Opening", 1.0), Step(0, REST, 6.0))


def test_steps_of_one_name_are_added_up_also_across_commands() -> None:
    assert SLOW.then(FAST).shares[0] == Step(0, "Unpacking", 6.0)
    assert SLOW.then(FAST).peak == 300 * MEGABYTE


def test_shares_are_of_the_median_run() -> None:
    assert report(8.0).measured[0].shares() == (
        ("Unpacking", 3.0, 3 / 8),
        ("  Opening", 0.75, 0.75 / 8),
        (REST, 5.0, 5 / 8),
    )


def test_a_target_is_met_when_every_run_keeps_to_it() -> None:
    assert report(10.0).measured[0].met is True
    assert report(9.0).measured[0].met is False
    assert FLOOR.met is None


def test_the_ratio_is_that_of_the_medians() -> None:
    assert report(8.0).ratio == pytest.approx(4.0)


def test_the_tables_say_what_was_missed(capsys: pytest.CaptureFixture[str]) -> None:
    output.json_wanted.set(False)
    output.emit(report(9.0).document(), report(9.0).for_people)
    text = capsys.readouterr().out
    assert "6.00 s 8.00 s 10.00 s" in " ".join(text.split())
    assert "MISSED" in text
    assert "4.0 times the floor" in text
    assert "300 MB, at most 500 MB (met)" in text


def test_the_document_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    token = output.json_wanted.set(True)
    try:
        output.emit(report(9.0).document(), "")
    finally:
        output.json_wanted.reset(token)
    document = json.loads(capsys.readouterr().out)
    assert document["measured"][0]["runs"][1]["wall"] == 6.0
    assert document["measured"][0]["met"] is False
    assert document["warm_over_floor"] == 4.0


def test_a_recorder_knows_which_steps_are_parts() -> None:
    recorder = Recorder()
    recorder.begin("outer", "")
    recorder.begin("inner", "")
    recorder.end("inner", 1.0, failed=False)
    recorder.end("outer", 3.0, failed=False)
    recorder.begin("next", "")
    recorder.end("next", 2.0, failed=True)
    notes = json.dumps({"steps": recorder.steps, "peak": 1})
    assert recorded(Run(7.0, 5.0), notes) == Run(
        7.0, 5.0, 1, (Step(0, "outer", 3.0), Step(1, "inner", 1.0), Step(0, "next", 2.0))
    )


def test_memory_is_counted_from_the_start_of_the_program() -> None:
    assert 5 * MEGABYTE < peak_memory() < 10_000 * MEGABYTE


def test_a_program_is_timed_with_its_children() -> None:
    busy = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'for _ in range(10**6): pass'])"
    run = timed_run([sys.executable, "-c", busy])
    assert run.cpu > 0
    assert run.wall > 0


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="no-such"):
        suture(["inspect", tmp_path / "no-such.ko"], tmp_path / "record")


def test_a_command_is_run_as_the_user_runs_it(tmp_path: Path) -> None:
    run = suture(["--version"], tmp_path / "record")
    assert run.peak > 5 * MEGABYTE
    assert run.shares[-1].name == REST


def test_the_steps_of_a_command_are_recorded(tmp_path: Path) -> None:
    both = [tmp_path / "before.o", tmp_path / "after.o"]
    both[0].write_bytes(compile_c(SOURCE))
    both[1].write_bytes(compile_c(CHANGED))
    symbols, symvers = tmp_path / "System.map", tmp_path / "Module.symvers"
    symbols.write_bytes(SYMBOLS)
    symvers.write_text(SYMVERS)
    known = ["--symbols", f"{symbols}", "--symvers", f"{symvers}", "-o", f"{tmp_path / 'fix.o'}"]
    words = ["diff", *map(str, both), "--object", "vmlinux", "--name", "fix", *known]
    run = suture(words, tmp_path / "record")
    assert [step.name for step in run.shares] == ["Reading", "Comparing", REST]
    assert 0 < run.shares[-1].seconds < run.wall


def test_the_machine_is_described_from_what_the_kernel_says() -> None:
    assert machine.processor("processor\t: 0\nmodel name\t: A Processor\n") == "A Processor"
    assert machine.memory("MemTotal:       24684020 kB\n") == "23.5 GiB"
    assert machine.memory("") == "unknown"
    assert set(machine.describe()) == {"processor", "cores", "memory", "system", "Python", "load"}
