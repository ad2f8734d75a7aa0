# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages that show commands with what they print, done as they are written.

A block with a file's name is that file: ```` ```sh file=check.sh ````.  A block marked ``console``
has commands, each after ``$ ``, and what each prints.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"^```(?P<language>\w*)(?: file=(?P<file>\S+))?\n(?P<text>.*?)^```", re.M | re.S
)
_COMMAND = re.compile(r"^\$ (?P<line>.*)\n", re.MULTILINE)

_VARIABLE = re.compile(
    r"\((tcg|kvm)\)|\d+\.\d s\b|\b\d+ s\b|\+0x[0-9a-f]+ *|[\d,]+ bytes|\b[0-9a-f]{40,64}\b"
)
"""What differs from one run, machine or release to the next: accelerator, times, addresses,
sizes, digests."""


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file that the reader writes."""

    name: str
    text: str

    def write(self, directory: Path) -> None:
        """Write it below a directory."""
        path = directory / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text)


@dataclass(frozen=True, slots=True)
class ShownCommand:
    """A command line, and what the page says that it prints; "" if the page does not say."""

    line: str
    printed: str

    def run(self, directory: Path) -> subprocess.CompletedProcess[str]:
        """Run it by the shell, with this checkout's ``suture``."""
        suture = directory / ".bin" / "suture"
        if not suture.exists():
            suture.parent.mkdir()
            suture.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m suture "$@"\n')
            suture.chmod(0o755)
        path = f"{suture.parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", self.line],
            cwd=directory,
            env={**os.environ, "PATH": path, "COLUMNS": "80"},
            capture_output=True,
            text=True,
            check=False,
        )


def steps(page: str, renamed: Mapping[str, str]) -> Iterator[ShownFile | ShownCommand]:
    """Yield the files and commands of a page, in order.

    :param renamed: release in the page -> the one that stands for it.
    """
    for old, new in renamed.items():
        page = page.replace(old, new)
    for block in _BLOCK.finditer(page):
        if block["file"]:
            yield ShownFile(block["file"], block["text"])
        elif block["language"] == "console":
            _, *parts = _COMMAND.split(block["text"])
            for line, printed in zip(parts[::2], parts[1::2], strict=True):
                yield ShownCommand(line, printed)


def comparable(printed: str) -> list[str]:
    """Return the words of each line, without what differs from run to run."""
    lines = [" ".join(line.split()) for line in _VARIABLE.sub("", printed).splitlines()]
    return [line for line in lines if line]
