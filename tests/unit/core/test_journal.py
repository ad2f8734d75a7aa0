# SPDX-License-Identifier: GPL-2.0-or-later
"""The journal of what was done to the kernel: it survives what can happen to a file."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from suture.cli import log
from suture.cli.output import TextTable
from suture.core.journal import Journal, RecordPhase, unfinished
from suture.errors import Refusal
from tests.examples import shows


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "journal")


def test_an_intent_and_its_outcome_are_read_back(journal: Journal) -> None:
    intent = journal.begin("load", "fix", {"sha256": "ab"})
    assert unfinished(journal.records()) == (intent,)
    assert journal.end(intent, "loaded", {"seconds": 1.5})
    first, second = journal.records()
    assert (first, first.phase, first.details) == (intent, RecordPhase.INTENT, {"sha256": "ab"})
    assert (second.id, second.result, second.details) == (intent.id, "loaded", {"seconds": 1.5})
    assert unfinished(journal.records()) == ()


def test_a_line_of_the_journal_is_one_json_document(journal: Journal) -> None:
    journal.begin("load", "line\nbreak", {})
    (line,) = journal.path.read_bytes().splitlines()
    assert json.loads(line)["patch"] == "line\nbreak"


@pytest.mark.parametrize(
    "torn", [b'{"phase":"outc', b"\x00\xff\xfe", b'{"phase":"intent"}', b"[]", b"[" * 100_000]
)
def test_a_torn_or_damaged_line_hides_no_other(journal: Journal, torn: bytes) -> None:
    first = journal.begin("load", "one", {})
    with journal.path.open("ab") as file:
        file.write(torn)
    second = journal.begin("load", "two", {})
    assert journal.records() == (first, second)


def test_every_cut_leaves_the_records_before_it(journal: Journal) -> None:
    kept = [journal.begin("load", f"patch{number}", {}) for number in range(3)]
    whole = journal.path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        journal.path.write_bytes(whole[:size])
        complete = sum(
            end - 1 <= size for end in ends
        )  # a line is whole without its line break, too
        assert journal.records() == tuple(kept[:complete])


def test_nothing_is_written_through_a_link(journal: Journal, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("untouched")
    journal.path.parent.mkdir()
    journal.path.symlink_to(other)
    with pytest.raises(Refusal) as refused:
        journal.begin("load", "fix", {})
    shows(refused.value, "journal-unwritable")
    assert other.read_text() == "untouched"


def test_a_full_disk_is_refused_before_the_change_and_only_told_after_it(journal: Journal) -> None:
    intent = journal.begin("load", "fix", {})
    size = journal.path.stat().st_size
    program = (
        "import sys, resource, signal; from pathlib import Path; from suture.core.journal import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "journal = Journal(Path(sys.argv[1])); (record,) = journal.records()\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        "print(journal.end(record, 'loaded', {}))\n"
        "try: journal.begin('load', 'more', {})\n"
        "except Exception as error: print(error.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, journal.path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "journal-unwritable"]
    assert journal.records() == (intent,)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_records_of_two_writers_at_once_do_not_mix(journal: Journal) -> None:
    journal.path.parent.mkdir()
    program = (
        "import sys; from pathlib import Path; from suture.core.journal import Journal\n"
        "for number in range(50): Journal(Path(sys.argv[1])).begin('load', f'{sys.argv[2]}{number}', {'x': 'y' * 500})"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, journal.path, name]) for name in "abcd"
    ]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert {record.patch for record in journal.records()} == {
        f"{name}{n}" for name in "abcd" for n in range(50)
    }


def test_only_root_can_write_what_root_made(journal: Journal) -> None:
    journal.begin("load", "fix", {})
    assert journal.path.stat().st_mode & 0o777 == 0o644 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o22)
    os.umask(mask)
    return mask


def test_the_log_marks_reboots_and_what_boots_did(journal: Journal) -> None:
    journal.end(journal.begin("load", "one", {}), "loaded", {})
    journal.end(journal.begin("load", "one", {"cause": "boot"}), "loaded", {})
    first, second = journal.records()[:2], journal.records()[2:]
    shown = log.for_people([*first, *(replace(record, boot="another") for record in second)])
    assert isinstance(shown, TextTable)
    by_hand, reboot, at_boot = shown.rows
    assert reboot == ("", "", "reboot", "", "", "")
    assert at_boot[1] == f"{by_hand[1]} (boot)"
    shown = log.for_people(list(first + second))
    assert isinstance(shown, TextTable)
    assert len(shown.rows) == 2
