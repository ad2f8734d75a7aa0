# SPDX-License-Identifier: GPL-2.0-or-later
"""Files and directories that are wholly there or not at all, also when a signal comes at the worst
moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.host.files import check_output, scratch_directory, signals_held, temporary_directory


@pytest.fixture(autouse=True)
def sigint_is_pythons() -> Iterator[None]:
    """A shell that starts something in the background lets it ignore SIGINT (POSIX, 2.11)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_waits_for_the_end_of_the_block() -> None:
    made: list[str] = []

    def interrupted() -> None:
        with signals_held():
            signal.raise_signal(signal.SIGINT)
            made.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert made == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_temporary_directory_goes_with_its_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def interrupted() -> None:
        with temporary_directory() as work:
            (work / "file").touch()
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    program = "import os, sys; from pathlib import Path; from suture.host.files import scratch_directory as s\n"
    killed = f"{program}with s(Path(sys.argv[1]), 'killed-'): os.kill(os.getpid(), 9)"
    assert (
        subprocess.run([sys.executable, "-c", killed, tmp_path], check=False).returncode
        == -signal.SIGKILL
    )
    assert len(list(tmp_path.glob("killed-*"))) == 1
    with (
        scratch_directory(tmp_path, "first-") as first,
        scratch_directory(tmp_path, "second-") as second,
    ):
        assert first.is_dir()
        assert second.is_dir()
        assert list(tmp_path.glob("killed-*")) == []
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_device_or_directory_is_no_output(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/dev/null")
    for output in (
        "/dev/null",
        tmp_path,
        tmp_path / "fifo",
        tmp_path / "link",
        tmp_path / "file/below",
    ):
        with pytest.raises(Refusal) as caught:
            check_output(Path(output))
        assert (caught.value.code, caught.value.where) == ("file-unreadable", str(output))


def test_a_file_that_is_there_or_not_yet_is_an_output(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for output in ("file", "new"):
        check_output(tmp_path / output)
    check_output(tmp_path / "new/directory/file", makes_parents=True)
    assert not (tmp_path / "new").exists()


def test_a_file_in_a_directory_that_is_missing_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        check_output(tmp_path / "new/file")
    assert caught.value.code == "file-unreadable"
    assert "there is no directory" in caught.value.found
    assert not (tmp_path / "new").exists()
