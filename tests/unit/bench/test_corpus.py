# SPDX-License-Identifier: GPL-2.0-or-later
"""What the corpus of real fixes makes of files and of answers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bench.corpus import pick
from bench.corpus.builds import module_name
from bench.corpus.record import (
    TIMED_OUT,
    Outcome,
    Record,
    append,
    load,
    of_build,
    option_to_add,
    table,
)
from suture.errors import (
    DATA_CHANGED,
    INTERNAL_ERROR,
    NO_CODE_CHANGE,
    PATCH_DOES_NOT_COMPILE,
    Kind,
    Refusal,
)
from suture.link.kbuild import usable_name


def refused(kind: Kind) -> Record:
    error = Refusal(kind, "fs/a.c", "found", evidence=["line"]).as_dict()
    return of_build("fs/a.c", 1, json.dumps({"error": error}), "", 1.5)


def test_a_refusal_is_told_from_a_fault_of_ours_and_from_what_says_nothing_about_us() -> None:
    assert refused(DATA_CHANGED).outcome is Outcome.REFUSED
    assert refused(DATA_CHANGED).message == "fs/a.c: found\nline"
    assert refused(INTERNAL_ERROR).outcome is Outcome.WRONG
    assert refused(NO_CODE_CHANGE).outcome is Outcome.NO_CHANGE
    assert refused(PATCH_DOES_NOT_COMPILE).outcome is Outcome.OLD_HEADERS


def test_what_ends_without_an_answer_is_wrong() -> None:
    assert of_build("a.c", None, "", "", 300.0).code == TIMED_OUT
    assert of_build("a.c", -11, "", "Segmentation fault", 1.0).outcome is Outcome.WRONG
    assert of_build("a.c", 0, "", "", 1.0).outcome is Outcome.WRONG


def test_a_build_tells_what_it_replaces() -> None:
    functions = [{"old_name": "f", "sympos": 0}, {"old_name": "g", "sympos": 2}]
    answer = json.dumps({"objects": [{"name": "ext4", "functions": functions}]})
    record = of_build("a.c", 0, answer, "", 1.0)
    assert (record.outcome, record.functions, record.objects) == (
        Outcome.BUILT,
        ("ext4:f", "ext4:g"),
        ("ext4",),
    )


def test_the_last_whole_line_about_a_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "records"
    first, last = (
        Record("a.c", Outcome.BUILT, functions=("vmlinux:f",)),
        Record("a.c", Outcome.LOADED),
    )
    for record in (first, Record("b.c", Outcome.REFUSED, "data-changed"), last):
        append(path, record)
    with path.open("a") as stream:
        stream.write('{"file": "b.c", "outc')
    assert load(path) == {"a.c": last, "b.c": Record("b.c", Outcome.REFUSED, "data-changed")}
    assert load(tmp_path / "none") == {}


def test_the_share_is_of_what_compiles_and_changes_code() -> None:
    outcomes = (
        Outcome.LOADED,
        Outcome.LOADED,
        Outcome.LOADED,
        Outcome.OLD_HEADERS,
        Outcome.NO_CHANGE,
    )
    records = [
        *(Record("a.c", outcome) for outcome in outcomes),
        Record("b.c", Outcome.REFUSED, "data-changed"),
    ]
    text = table(records)
    assert "4 compile and change code; 75.0 % of them" in text
    assert "1 data-changed" in text


def test_a_patch_leads_from_the_old_file_to_the_new_one(tmp_path: Path) -> None:
    old, new = b"one\n\xff\nthree", b"one\ntwo\r\nthree\n"
    for directory, content in (("old", old), ("new", new)):
        (tmp_path / directory / "fs").mkdir(parents=True)
        (tmp_path / directory / "fs" / "a.c").write_bytes(content)
    assert pick.differs(tmp_path / "old", tmp_path / "new", "fs/a.c")
    assert not pick.differs(tmp_path / "old", tmp_path / "new", "fs/missing.c")
    text = pick.patch(tmp_path / "old", tmp_path / "new", "fs/a.c")
    subprocess.run(
        ["patch", "-p1", "--binary"],
        input=text,
        cwd=tmp_path / "old",
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "old" / "fs" / "a.c").read_bytes() == new


def test_a_seed_picks_the_same_files_and_more_of_them_include_the_fewer() -> None:
    paths = [f"fs/{number}.c" for number in range(50)]
    chosen = pick.choose(paths, 20, seed=3)
    assert chosen == pick.choose(reversed(paths), 30, seed=3)[:20]
    assert chosen != pick.choose(paths, 20, seed=4)


def test_a_module_has_a_name_that_the_kernel_takes_however_deep_the_file_is() -> None:
    deep = "drivers/gpu/drm/amd/display/dc/dml2_0/dml21/src/dml2_core/dml2_core-utils.c"
    assert usable_name(module_name(deep)) == module_name(deep)
    assert module_name(deep) != module_name(deep.replace("utils", "shared"))


def test_a_variable_that_can_be_named_is_named_as_an_author_would() -> None:
    change = "If it is to change in memory, say so: --patch-data table"
    keep = "If what the running kernel holds is right as it is, say so: --keep-data table"
    for text, kept, wanted in (
        (change, (), ("--patch-data", "table")),
        (keep, (), None),
        (keep, ("table",), ("--keep-data", "table")),
        (f"{change}\n{keep}", (), ("--patch-data", "table")),
        (f"{change}\n{keep}", ("table",), ("--keep-data", "table")),
        (DATA_CHANGED.remedy, ("table",), None),
    ):
        answer = json.dumps({"error": {"code": "data-changed", "remedy": text}})
        assert option_to_add(answer, kept) == wanted
    assert option_to_add("{}", ("table",)) is None
    assert option_to_add("", ("table",)) is None
