# SPDX-License-Identifier: GPL-2.0-or-later
"""Two records of what Suture made of the same inputs, told apart."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bench.behaviour.compare import compare, table
from bench.behaviour.kernels import Kernel
from bench.behaviour.model import Outcome, Record, Step, load, save
from bench.behaviour.parts import compiled
from bench.behaviour.sections import differing
from bench.behaviour.tables import INPUTS

KERNEL = Kernel("6.1", "6.1.0-toy", "6.1.1-1", {}, Path())
KERNELS = {KERNEL.series: f"{KERNEL.release} ({KERNEL.version})"}
CODE = "int counted(int x) { return x + 1; }\n"
BUILD_ID = """
__attribute__((section(".note.gnu.build-id"), used)) static const int id[] = {{ 4, 4, 3, {} }};
"""
GOOD, OTHER = (compiled(code).make(KERNEL) for code in (CODE, CODE.replace("1", "2")))
REFUSED = Step(("build", "b.patch"), 1, "not-a-patch", "b.patch: is empty", None)


def built(document: object = None) -> Step:
    return Step(("build", "a.patch"), 0, "", "", document or {"name": "a", "why": "it holds hunks"})


def outcome(*steps: Step, written: dict[str, bytes] | None = None, expected: str = "") -> Outcome:
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in (written or {}).items()}
    return Outcome("0" * 64, expected, steps, digests, 1.0)


def record(directory: Path, module: bytes = GOOD, **others: Outcome) -> Record:
    """One input that is built and one that is refused, or `others` in their place."""
    outcomes = {
        "6.1/a": outcome(built(), written={"a.ko": module}),
        "6.1/b": outcome(REFUSED, expected="not-a-patch"),
        **{f"6.1/{name}": one for name, one in others.items()},
    }
    (directory / "6.1" / "a").mkdir(parents=True)
    (directory / "6.1" / "a" / "a.ko").write_bytes(module)
    return Record(KERNELS, outcomes, directory)


@pytest.fixture
def before(tmp_path: Path) -> Record:
    return record(tmp_path / "before")


def test_equal_records_have_no_differences(before: Record, tmp_path: Path) -> None:
    assert compare(before, record(tmp_path / "after")) == []


def test_a_module_that_differs_is_named_with_its_sections(before: Record, tmp_path: Path) -> None:
    (found,) = compare(before, record(tmp_path / "after", OTHER))
    assert (found.name, found.what, found.counts) == ("6.1/a", "file", True)
    assert found.before.startswith("a.ko ")
    assert found.after.endswith(" .text.counted")
    header, row = table([found]).splitlines()
    assert header.split() == ["input", "what", "before", "after"]
    assert row.startswith("6.1/a  file  a.ko ")


def test_another_build_id_alone_does_not_count(tmp_path: Path) -> None:
    one, other = (compiled(CODE + BUILD_ID.format(number)).make(KERNEL) for number in (1, 2))
    (found,) = compare(record(tmp_path / "one", one), record(tmp_path / "other", other))
    assert (found.what, found.counts) == ("build ID", False)
    assert found.after.endswith(" .note.gnu.build-id")


def test_another_code_is_another_ending(before: Record, tmp_path: Path) -> None:
    changed = Step(REFUSED.words, 1, "format-unknown", "b.patch: is empty", None)
    (found,) = compare(before, record(tmp_path / "after", b=outcome(changed)))
    assert (found.what, found.before, found.after) == (
        "ending",
        "1 not-a-patch",
        "1 format-unknown",
    )
    assert found.counts


def test_an_input_that_one_record_lacks_is_a_difference(before: Record, tmp_path: Path) -> None:
    after = record(tmp_path / "after", c=outcome(built()))
    (found,) = compare(before, after)
    assert (found.name, found.before, found.after) == ("6.1/c", "none", "0")
    (found,) = compare(after, before)
    assert (found.before, found.after) == ("0", "none")


def test_another_document_counts_and_other_prose_does_not(before: Record, tmp_path: Path) -> None:
    written = {"a.ko": GOOD}
    renamed = outcome(built({"name": "z", "why": "it holds hunks"}), written=written)
    (found,) = compare(before, record(tmp_path / "renamed", a=renamed))
    assert (found.what, found.before, found.after) == ("document", ".name a", "z")
    said = outcome(built({"name": "a", "why": "there are hunks in it"}), written=written)
    (found,) = compare(before, record(tmp_path / "said", a=said))
    assert (found.what, found.counts) == ("words", False)


def test_other_words_of_a_refusal_do_not_count(before: Record, tmp_path: Path) -> None:
    reworded = Step(REFUSED.words, 1, REFUSED.code, "b.patch: holds nothing", None)
    (found,) = compare(before, record(tmp_path / "after", b=outcome(reworded)))
    assert (found.what, found.after, found.counts) == ("words", "b.patch: holds nothing", False)


def test_a_record_is_read_back_as_it_was_written(before: Record, tmp_path: Path) -> None:
    save(before, tmp_path)
    read = load(tmp_path)
    assert (read.kernels, read.outcomes) == (before.kernels, before.outcomes)


def test_an_ending_is_held_against_what_the_input_means() -> None:
    assert outcome(REFUSED, expected="not-a-patch").is_as_expected
    assert not outcome(REFUSED).is_as_expected
    assert not outcome(REFUSED, built()).is_as_expected


def test_files_that_are_no_elf_files_are_compared_by_bytes() -> None:
    assert differing(b"one", b"two") == ["from byte 0 on"]
    assert differing(b"one", b"one more") == ["from byte 3 on"]


def test_every_input_has_a_name_of_its_own() -> None:
    names = [(one.name, series) for one in INPUTS for series in one.series]
    assert len(names) == len(set(names))
    assert not any(" " in name for name, _ in names)
