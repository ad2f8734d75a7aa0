# SPDX-License-Identifier: GPL-2.0-or-later
"""C modules on their way through the written form, and what a build of one says."""

from __future__ import annotations

import shutil
from pathlib import Path

from suture.build import build
from suture.build.convert import convert
from suture.kernel.release import Target
from suture.link.inspect import read_file
from tests.command import Place

PARTS = Path(__file__).parents[1] / "lab" / "sources" / "kgraft" / "parts"


def several_files(directory: Path) -> Path:
    """One C file that includes another and a header beside it."""
    for name in ("fix.c", "fix.h"):
        shutil.copy(PARTS / name, directory / name)
    main = (PARTS / "main.c").read_text().replace("#include <fix.h>", '#define KGR_LEVEL 7\n#include "fix.c"')
    (directory / "kgr-main.c").write_text(main)
    return directory / "kgr-main.c"


def test_written_form_takes_headers_along_and_builds_the_same(target: Target, tmp_path: Path) -> None:
    source = several_files(tmp_path)
    written = convert([source], tmp_path / "fix.livepatch", target=target)
    assert set(written.files) == {"livepatch.toml", "sources/kgr-main.c", "sources/fix.c", "sources/fix.h"}
    assert not written.manifest.replace, "the author did not say replace_all"
    direct = build([source], target, directory=tmp_path)
    again = build([tmp_path / "fix.livepatch"], target, directory=tmp_path)
    assert (direct.patch.name, again.patch.name) == ("kgr_main", "livepatch_kgr_main")
    assert direct.patch.objects == again.patch.objects
    assert read_file(direct.path).patch == direct.patch


def test_build_says_what_is_not_proved(place: Place) -> None:
    several_files(place.directory)
    finished = place.run(*place.build("kgr-main.c"))
    assert finished.returncode == 0, finished.stderr
    said = [line.strip() for line in finished.stdout.splitlines()]
    assert "replaces vmlinux: cmdline_proc_show(), there, has a fentry call, of the new one's type" in said
    assert said[-1].startswith("not proved: ")
