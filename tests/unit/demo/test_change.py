# SPDX-License-Identifier: GPL-2.0-or-later
"""The demonstration's diff, and the kernel that it takes."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from suture.demo import a_release, change
from suture.errors import Refusal
from suture.kernel.release import Target
from suture.sources import Offer
from tests.examples import shows

SOURCE = """\
static int meminfo_proc_show(struct seq_file *m, void *v)
{
%s	show_val_kb(m, "VmallocUsed:    ", vmalloc_nr_pages());
	show_val_kb(m, "VmallocChunk:   ", 0ul);
	show_val_kb(m, "Percpu:         ", pcpu_nr_pages());
	return 0;
}
"""


def tree(directory: Path, source: str) -> Path:
    file = directory / change.FILE
    file.parent.mkdir(parents=True)
    file.write_text(source)
    return directory


@pytest.mark.parametrize("above", [0, 1, 200], ids=lambda count: f"{count} lines above")
def test_the_diff_applies_to_its_own_source_wherever_the_line_is(
    tmp_path: Path, above: int
) -> None:
    made = change.diff(tree(tmp_path, SOURCE % ("\tmore();\n" * above)))
    command = ["patch", "--strip=1", "--fuzz=0", "-d", str(tmp_path)]
    done = subprocess.run(command, input=made, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "offset" not in done.stdout
    patched = (tmp_path / change.FILE).read_text()
    assert '\tshow_val_kb(m, "VMALLOCCHUNK:   ", 0ul);\n' in patched
    assert '"VmallocChunk' not in patched


@pytest.mark.parametrize("source", [SOURCE.replace("VmallocChunk", "Other"), SOURCE * 2])
def test_a_source_that_has_the_text_not_exactly_once_is_refused(
    tmp_path: Path, source: str
) -> None:
    with pytest.raises(Refusal) as refused:
        change.diff(tree(tmp_path, source))
    shows(refused.value, "demo-text-missing")


@dataclass(frozen=True)
class Known:
    release: str


def known(*releases: str) -> Any:
    return tuple(map(Known, releases))


OFFERS = cast(tuple[Offer, ...], known("6.12.9-amd64", "6.12.9-cloud-amd64", "6.12.8-amd64"))


def test_the_newest_that_is_offered_is_taken() -> None:
    assert a_release(OFFERS, ()) == "6.12.9-amd64"


def test_one_that_is_here_is_rather_taken() -> None:
    here = cast(tuple[Target, ...], known("6.1.0-50-amd64", "6.12.8-amd64"))
    assert a_release(OFFERS, here) == "6.12.8-amd64"


def test_one_that_is_here_and_no_longer_offered_is_not_taken() -> None:
    assert a_release(OFFERS, cast(tuple[Target, ...], known("6.1.0-50-amd64"))) == "6.12.9-amd64"
