# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture diff`` as a user's shell runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from suture.cli.diff import ALIASES, UNPROVED
from suture.objects.special import aliases
from tests.unit.builder.test_compare_objects import CHANGED, SOURCE, SYMBOLS, SYMVERS
from tests.unit.toolchain import compile_c, symbol_lines

TOP = Path(__file__).resolve().parents[3]
OPTIONS = (
    "--object",
    "vmlinux",
    "--symbols",
    "System.map",
    "--symvers",
    "Module.symvers",
    "--name",
    "fix",
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "before.o").write_bytes(compile_c(SOURCE))
    (tmp_path / "after.o").write_bytes(compile_c(CHANGED))
    (tmp_path / "System.map").write_bytes(SYMBOLS)
    (tmp_path / "Module.symvers").write_text(SYMVERS)
    return tmp_path


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "suture", "diff", *words],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(TOP / "src"), "XDG_CACHE_HOME": str(place / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_people_read_what_changed_and_that_nothing_is_proved(place: Path) -> None:
    done = run(place, "before.o", "after.o", *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "fix.o holds what changes in vmlinux, for the live patch fix.",
        "  replaces shown()",
        "  links    __fentry__",
        "  links    exported",
        "  reaches  .klp.sym.vmlinux.helper,0",
        "  reaches  .klp.sym.vmlinux.hidden,0",
        "  reaches  .klp.sym.vmlinux.state,0",
        UNPROVED,
    ]
    assert "shown" in symbol_lines((place / "fix.o").read_bytes())


def test_programs_read_one_document(place: Path) -> None:
    done = run(
        place, "before.o", "after.o", *OPTIONS, "-o", "out.o", "--json", "--entry-size", "jump=16"
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["output"] == "out.o"
    assert (document["name"], document["object"], document["proved"]) == ("fix", "vmlinux", False)
    (function,) = document["functions"]
    assert (function["old_name"], function["sympos"]) == ("shown", 0)
    assert function["new_name"] in symbol_lines((place / "out.o").read_bytes())
    assert {"symbol": "exported", "linked": "exported"} in document["outside"]
    assert {
        "symbol": "vmlinux:.klp.sym.vmlinux.helper,0",
        "objname": "vmlinux",
        "name": "helper",
        "sympos": 0,
    } in document["outside"]
    assert (document["new"], document["entry_sizes"]) == ([], {})


def test_new_functions_are_listed(place: Path) -> None:
    new = '__attribute__((noinline)) static int added(int x) { return x * 7 + hidden("new", x); }\nint shown'
    text = CHANGED.replace("int shown", new).replace(
        "return helper(x)", "return added(x) + helper(x)"
    )
    (place / "after.o").write_bytes(compile_c(text))
    done = run(place, "before.o", "after.o", *OPTIONS)
    assert "  adds     added()\n" in done.stdout


USAGE = {
    "no symbols": OPTIONS[:2] + OPTIONS[4:],
    "no name": OPTIONS[:6],
    "no object": OPTIONS[2:],
    "a section that has no size": (*OPTIONS, "--entry-size", ".smp_locks=4"),
    "no number": (*OPTIONS, "--entry-size", "JUMP=many"),
    "nothing": (*OPTIONS, "--entry-size", "JUMP"),
    "zero": (*OPTIONS, "--entry-size", "JUMP=0"),
    "more than a page": (*OPTIONS, "--entry-size", "JUMP=99999999999"),
}


@pytest.mark.parametrize("words", USAGE.values(), ids=USAGE)
def test_wrong_usage_ends_with_status_2(place: Path, words: tuple[str, ...]) -> None:
    done = run(place, "before.o", "after.o", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (place / "fix.o").exists()


REFUSED = {
    "file-unreadable": ("before.o", "nowhere.o", *OPTIONS),
    "object-malformed": ("before.o", "System.map", *OPTIONS),
    "no-code-change": ("before.o", "before.o", *OPTIONS),
    "symvers-malformed": ("before.o", "after.o", *OPTIONS[:5], "System.map", *OPTIONS[6:]),
    "kallsyms-malformed": ("before.o", "after.o", *OPTIONS[:3], "Module.symvers", *OPTIONS[4:]),
    "name-unusable": ("before.o", "after.o", *OPTIONS[:7], "f.x"),
    "object-not-listed": ("before.o", "after.o", "--object", "xfs", *OPTIONS[2:]),
}


@pytest.mark.parametrize(("code", "words"), REFUSED.items(), ids=REFUSED)
def test_what_is_wrong_is_refused_with_status_1(
    place: Path, code: str, words: tuple[str, ...]
) -> None:
    before = sorted(place.iterdir())
    done = run(place, *words, "--json")
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["error"]["code"] == code
    assert "Traceback" not in done.stderr
    assert sorted(place.iterdir()) == before


def test_the_help_names_the_short_names_of_sections() -> None:
    assert ALIASES.split(", ") == list(aliases())
