# SPDX-License-Identifier: GPL-2.0-or-later
"""The makefile that asks kbuild for objects of several directories, run by make(1)."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from suture.workspace.kbuild import ListedObject, objects_makefile, prepared_objects

BUILD = """\
# A make for fs/proc/ reads what the one for fs/ is writing.
DIRECTORY := $(patsubst %/,%,$(dir $(firstword $(MAKECMDGOALS))))
-include $(wildcard $(foreach d,fs fs/proc,$(if $(filter $(d)/%,$(DIRECTORY)/),$(d)/.x.o.cmd)))

$(MAKECMDGOALS):
\t@printf 'half := $$(' > $(dir $@).x.o.cmd
\t@sleep 0.3
\t@echo 'whole := 1' > $(dir $@).x.o.cmd
\t@$(if $(filter $(FAILING),$@),false,touch $@)
"""
"""What of scripts/Makefile.build matters here."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/Makefile.build").write_text(BUILD)
    for directory in ("fs", "fs/proc", "fs/proc/deep", "fscache"):
        (tmp_path / directory).mkdir()
    return tmp_path


def made(
    tree: Path, names: Sequence[str], *, failing: str = "", keep_going: bool = False
) -> tuple[int, str, set[str]]:
    """make's status, what it said, and the objects that it made."""
    objects = [ListedObject(name, str(Path(name).parent)) for name in names]
    (tree / "objects.mk").write_text(objects_makefile(objects, keep_going=keep_going))
    command = ["make", "-s", "-j8", "-f", "objects.mk", f"FAILING={failing}"]
    options = ["--keep-going"] if keep_going else []
    run = subprocess.run(
        [*command, *options], cwd=tree, capture_output=True, text=True, check=False
    )
    found = {path.relative_to(tree).as_posix() for path in tree.rglob("*.o")}
    return run.returncode, run.stderr, found


NAMES = ("fs/x.o", "fs/proc/x.o", "fs/proc/deep/x.o", "fscache/x.o")


def test_no_make_reads_what_another_is_writing(tree: Path) -> None:
    """Once: fs/.fhandle.o.cmd:5: *** unterminated variable reference."""
    assert made(tree, NAMES) == (0, "", set(NAMES))


def test_where_a_directory_fails_those_below_it_are_made_if_they_are_asked_for(tree: Path) -> None:
    status, _, found = made(tree, NAMES, failing="fs/x.o")
    assert status != 0
    assert "fs/proc/x.o" not in found
    *_, found = made(tree, NAMES, failing="fs/x.o", keep_going=True)
    assert found == set(NAMES) - {"fs/x.o"}


def test_only_directories_on_the_way_are_waited_for() -> None:
    text = objects_makefile([ListedObject(name, str(Path(name).parent)) for name in NAMES])
    waiting = [line for line in text.splitlines() if " | " in line]
    assert waiting == [
        "directory-1: | directory-0",
        "directory-2: | directory-0 directory-1",
    ]


@pytest.mark.parametrize("obj", [".", "/scratch/module"], ids=["since 6.13", "before"])
def test_prepared_objects_are_copied_wherever_kbuild_works(obj: str, tmp_path: Path) -> None:
    place = tmp_path if obj == "." else tmp_path / obj.lstrip("/")
    place.mkdir(exist_ok=True, parents=True)
    (place / "part_0.o_shipped").write_text("prepared")
    directory = "." if obj == "." else str(place)
    rules = f"obj := {directory}\n{prepared_objects(['part_0', 'part_1'])}"
    (tmp_path / "Makefile").write_text(f"{rules}%.o: %.c\n\tfalse\n")
    command = ["make", "-s", f"{'' if obj == '.' else f'{place}/'}part_0.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (place / "part_0.o").read_text() == "prepared"


def test_a_module_without_prepared_objects_has_no_rule() -> None:
    assert prepared_objects([]) == ""
