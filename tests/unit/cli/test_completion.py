# SPDX-License-Identifier: GPL-2.0-or-later
"""What a shell offers where a kernel, a module or an input is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from suture.cli import completion
from suture.host import kernel_names

TOP = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    return tmp_path / "cache/suture"


def fetched(cache: Path, release: str) -> None:
    manifest = cache / "kernels" / release / "1" / "target.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")


def completed(*words: str) -> list[str]:
    """What bash gets for the last word."""
    asked = {
        **os.environ,
        "PYTHONPATH": str(TOP / "src"),
        "_SUTURE_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["suture", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "suture"], env=asked, capture_output=True, text=True, check=True
    )
    return [word.removeprefix("plain,") for word in done.stdout.split()]


def test_fetched_kernels_are_offered_before_those_on_offer(cache: Path) -> None:
    fetched(cache, "6.1.0-50-amd64")
    kernel_names.keep_offered(["6.12.1-amd64", "6.1.0-56-amd64", "6.1.0-50-amd64"])
    every = ["6.1.0-50-amd64", "6.12.1-amd64", "6.1.0-56-amd64"]
    assert completed("build", "--kernel", "") == every
    assert completed("build", "fix.patch", "--kernel", "6.1.") == [every[0], every[2]]
    assert completed("build", "--kernel", "=", "6.1.") == [every[0], every[2]]
    assert completed("build", "--name", "=", "fix", "--kernel", "=") == every
    assert completed("kernel", "fetch", "6") == every[1:]
    assert completed("kernel", "remove", "6") == every[:1]


def test_without_a_cache_nothing_is_offered(cache: Path) -> None:
    assert completed("build", "--kernel", "") == []
    assert not cache.exists()


def test_a_list_that_cannot_be_written_is_no_failure(cache: Path) -> None:
    cache.parent.write_text("a file where the directory would be")
    kernel_names.keep_offered(["6.1.0-56-amd64"])
    assert kernel_names.offered_names() == []


def test_modules_and_directories_are_offered() -> None:
    for name in ("fix.ko", "other.ko", "fix.patch", "two words.ko", ".hidden.ko"):
        Path(name).touch()
    Path("modules").mkdir()
    Path("modules/deep.ko").touch()
    for command in ("inspect", "verify", "test", "install"):
        assert completed(command, "") == ["fix.ko", "modules/", "other.ko"]
    assert completion.files("modules/", completion.MODULES) == ["modules/deep.ko"]


def test_the_only_directory_is_offered_with_what_is_in_it() -> None:
    Path("a/b").mkdir(parents=True)
    for name in ("one.ko", "two.ko"):
        Path("a/b", name).touch()
    assert completion.files("a", completion.MODULES) == ["a/b/", "a/b/one.ko", "a/b/two.ko"]
    Path("a/b/two.ko").unlink()
    assert completion.files("", completion.MODULES) == ["a/b/one.ko"]
    assert completion.files("nothing/", completion.MODULES) == []


def test_inputs_are_offered_by_their_type() -> None:
    for name in ("fix.patch", "kgr_fix.c", "notes.txt", "v.livepatch.tar.xz"):
        Path(name).touch()
    assert completed("build", "") == ["fix.patch", "kgr_fix.c", "v.livepatch.tar.xz"]
    assert completed("convert", "k") == ["kgr_fix.c"]


def test_where_no_file_fits_the_shell_offers_all() -> None:
    Path("fix.patch").touch()
    assert completed("inspect", "fix") == ["file,fix"]
    assert completed("build", "fix.patch", "--output", "mod") == ["file,mod"]


def test_formats_are_offered() -> None:
    assert completed("build", "--format", "kp") == ["kpatch", "kpatch-object"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_itself_completes_a_kernel(cache: Path, tmp_path: Path) -> None:
    fetched(cache, "6.1.0-50-amd64")
    source = subprocess.run(
        [sys.executable, "-m", "suture"],
        env={**os.environ, "PYTHONPATH": str(TOP / "src"), "_SUTURE_COMPLETE": "bash_source"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    program = tmp_path / "suture"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m suture "$@"\n')
    program.chmod(0o755)
    script = (
        f"{source}\nCOMP_WORDS=(suture build --kernel 6); COMP_CWORD=3\n"
        f'_suture_completion "{program}"\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PYTHONPATH": str(TOP / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "6.1.0-50-amd64\n"


def test_completion_imports_nothing_that_commands_work_with(cache: Path) -> None:
    """A user waits for each TAB."""
    fetched(cache, "6.1.0-50-amd64")
    listing = "import sys; from suture.cli import completion; completion.kernels(None, None, ''); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", listing],
        env={**os.environ, "PYTHONPATH": str(TOP / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()).isdisjoint({"suture.sources", "suture.kernel", "pydantic"})
