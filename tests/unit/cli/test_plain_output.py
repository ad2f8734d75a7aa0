# SPDX-License-Identifier: GPL-2.0-or-later
"""What is printed where Rich is missing, as on a host that only loads live patches."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from suture.cli.output import in_parts, table

WITHOUT_RICH = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "rich":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "rich" else find(name, package)
from suture.cli.app import main
sys.exit(main())
"""


def on_a_terminal(*words: str) -> tuple[int, str]:
    """The status and the output of a command line on a terminal, without Rich."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", WITHOUT_RICH, *words]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while piece := _read(ours):
        said += piece
    os.close(ours)
    return child.wait(), said.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""  # EIO: the other side is closed


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("list", 0, "live patch"),
        ("doctor --for load", 0, "for"),
        ("load /nonexistent.ko", 1, "error[file-unreadable]: /nonexistent.ko"),
        ("log --help", 0, "Usage: suture log"),
        ("loda", 2, "Did you mean 'load'"),
    ],
)
def test_commands_of_a_host_that_loads_work_without_rich(line: str, status: int, said: str) -> None:
    ended, text = on_a_terminal(*line.split())
    assert said in text
    assert "Traceback" not in text
    assert ended == status or line.startswith("doctor")  # what this host lacks is another matter


def test_a_table_is_the_same_text_with_and_without_rich(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from suture.cli import output

    shown = in_parts("one", table(("a", "name"), [("1", "x"), ("22", "yy")]))
    output.emit({}, shown)
    monkeypatch.setattr(output, "has_rich", lambda: False)
    output.emit({}, shown)
    first = "one\na   name\n1   x\n22  yy\n"
    assert capsys.readouterr().out == first * 2
    output.emit({}, table(("a", "ü"), [("\u4e2d", "x")]))
    assert capsys.readouterr().out == "a  ü\n\u4e2d  x\n"
