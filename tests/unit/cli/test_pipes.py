# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs that are no files: pipes, with and without a name, devices, sockets, and directories that
others are changing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.elf import writer
from suture.errors import Refusal
from suture.host import pipes
from suture.host.files import paths_below, read_bytes
from tests.command import command, read
from tests.unit.cli.test_diff import OPTIONS
from tests.unit.cli.test_diff import place as place  # the fixture
from tests.unit.link.module import compiled, glue
from tests.unit.module.test_inspect import ONE

TOP = Path(__file__).resolve().parents[3]
DIFF = """\
--- a/fs/proc/meminfo.c
+++ b/fs/proc/meminfo.c
@@ -1 +1 @@
-old
+new
"""
MODULE = "#include <linux/livepatch.h>\nstatic struct klp_patch patch;\n"


def run(directory: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash; ``suture`` in it is ours."""
    ours = f'suture() {{ "{sys.executable}" -m suture "$@"; }}\n'
    return subprocess.run(
        ["bash", "-c", ours + script],
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(TOP / "src"),
            "XDG_CACHE_HOME": str(directory / "cache"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_objects_to_compare_may_come_through_pipes(place: Path) -> None:
    by_name = run(place, f"suture diff before.o after.o {' '.join(OPTIONS)} -o plain.o")
    assert by_name.returncode == 0, by_name.stderr
    options = " ".join(f"<(cat {word})" if "." in word else word for word in OPTIONS)
    piped = run(place, f"suture diff <(cat before.o) <(cat after.o) {options} -o piped.o")
    assert piped.returncode == 0, piped.stderr
    assert (place / "piped.o").read_bytes() == (place / "plain.o").read_bytes()


def test_a_module_may_come_through_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "fix.ko").write_bytes(writer.write(compiled(glue(ONE))))
    by_name = run(tmp_path, "suture inspect fix.ko --json")
    piped = run(tmp_path, "suture inspect <(cat fix.ko) --json")
    assert (piped.returncode, piped.stdout) == (0, by_name.stdout), piped.stderr
    assert "Reading a pipe: /dev/fd/" in piped.stderr


CONVERTED = {
    "a pipe without a name": ("<(cat my.patch)", "sources/pipe", "livepatch_pipe"),
    "standard input": ("/dev/stdin < <(cat my.patch)", "sources/pipe", "livepatch_pipe"),
    "a named pipe": ("fifo.patch", "sources/fifo.patch", "livepatch_fifo"),
}


@pytest.mark.parametrize("case", CONVERTED)
def test_a_patch_may_come_through_a_pipe(case: str, tmp_path: Path) -> None:
    """It is read to be recognised, and once more to be copied."""
    word, file, name = CONVERTED[case]
    (tmp_path / "my.patch").write_text(DIFF)
    os.mkfifo(tmp_path / "fifo.patch")
    writer = "cat my.patch > fifo.patch & " if case == "a named pipe" else ""
    done = run(tmp_path, f"{writer}suture convert -o out.livepatch {word}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.livepatch" / file).read_text() == DIFF
    assert f'name = "{name}"' in (tmp_path / "out.livepatch/livepatch.toml").read_text()


def test_a_written_live_patch_may_come_through_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "my.patch").write_text(DIFF)
    assert run(tmp_path, "suture convert my.patch -o first.tar.xz").returncode == 0
    done = run(tmp_path, "suture convert <(cat first.tar.xz) -o second.tar.xz")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "second.tar.xz").read_bytes() == (tmp_path / "first.tar.xz").read_bytes()


def test_a_module_in_c_needs_a_name(tmp_path: Path) -> None:
    (tmp_path / "fix.c").write_text(MODULE)
    os.mkfifo(tmp_path / "fifo.c")
    named = run(tmp_path, "cat fix.c > fifo.c & suture convert fifo.c -o out.livepatch")
    assert named.returncode == 0, named.stderr
    assert (tmp_path / "out.livepatch/sources/fifo.c").read_text() == MODULE
    nameless = run(tmp_path, "suture convert <(cat fix.c) -o other.livepatch --json")
    error = read(nameless.stdout)
    assert error.code == "not-a-module-source"
    assert "does not end with .c" in error.found


def test_a_pipe_that_nobody_writes_to_is_waited_for_in_words(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.patch")
    waiting = subprocess.Popen(
        ["env", "--default-signal", *command("convert", "fifo.patch", "-o", "out.livepatch")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TOP / "src")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stderr is not None
    word = "Reading a pipe: fifo.patch … "
    assert waiting.stderr.read(len(word)) == word
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    assert "error[interrupted]" in said
    assert not (tmp_path / "out.livepatch").exists()


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


ODD: dict[str, Callable[[Path], object]] = {
    "a socket": _socket,
    "a character device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("words", ["convert odd -o out.livepatch", "inspect odd"])
def test_devices_and_sockets_are_refused_by_name(kind: str, words: str, tmp_path: Path) -> None:
    ODD[kind](tmp_path / "odd")
    error = read(run(tmp_path, f"suture {words} --json").stdout)
    assert (error.code, error.where, error.found) == ("file-unreadable", "odd", f"is {kind}")


def test_what_does_not_end_is_not_read_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes, "LARGEST", 1 << 20)
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        assert endless.stdout is not None
        with pytest.raises(Refusal) as refused:
            read_bytes(Path(f"/dev/fd/{endless.stdout.fileno()}"))
        endless.kill()
    assert refused.value.found == "gives more than 1 MiB"


def refused(directory: Path) -> Refusal | None:
    """The refusal to read a directory, if it is refused."""
    try:
        paths_below(directory)
    except Refusal as refusal:
        return refusal
    return None


def test_a_directory_that_another_program_changes_is_read_or_refused(tmp_path: Path) -> None:
    changing = f"while :; do mkdir -p {tmp_path}/x/{{a,b,c}}/d; rm -r {tmp_path}/x/*; done"
    with subprocess.Popen(["bash", "-c", changing], stderr=subprocess.DEVNULL) as other:
        refusals = list(filter(None, (refused(tmp_path) for _ in range(300))))
        other.kill()
    assert {(one.code, one.where) for one in refusals} <= {("file-unreadable", str(tmp_path))}


def test_a_directory_that_cannot_be_read_whole_is_refused(tmp_path: Path) -> None:
    """The same refusal, where another program cannot be waited for."""
    refusal = refused(tmp_path / "gone")
    assert refusal is not None
    assert "No such file or directory" in refusal.found
    assert "changing it" in refusal.remedy
