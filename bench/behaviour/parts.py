# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of an input: text, a diff of the kernel's source, or an object compiled here."""

from __future__ import annotations

import difflib
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.behaviour.kernels import Kernel

TOP = Path(__file__).resolve().parents[2]
INPUTS = Path(__file__).parent / "inputs"
SOURCES = TOP / "tests" / "lab" / "sources"
"""Modules as their authors wrote them; the lab tests load them."""

KERNEL_OPTIONS = (
    *("-O2", "-ffreestanding", "-mcmodel=kernel", "-fno-pic", "-fno-PIE", "-mno-red-zone"),
    *("-mno-sse", "-fno-asynchronous-unwind-tables", "-fno-strict-aliasing", "-fno-common"),
    *("-fcf-protection=none", "-pg", "-mfentry", "-mrecord-mcount", "-fno-jump-tables"),
    *("-fno-stack-protector", "-ffunction-sections", "-fdata-sections"),
)
"""Of the options that the kernel's makefiles give, those that decide about the shape of code."""


class WrongInput(Exception):
    """An input does not fit the kernel that it is for."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of an input.

    :ivar make: from a kernel to the contents.
    :ivar paths: files of the kernel's source that `make` reads.
    """

    make: Callable[[Kernel], bytes]
    paths: tuple[str, ...] = ()

    def then(self, change: Callable[[bytes], bytes]) -> Part:
        """The same file with its contents changed."""
        return Part(lambda kernel: change(self.make(kernel)), self.paths)


@dataclass(frozen=True, slots=True)
class Edit:
    """In file `path`, `old` becomes `new`; `old` must stand there once."""

    path: str
    old: str
    new: str


def text(content: str | bytes) -> Part:
    """A file of these contents."""
    data = content.encode() if isinstance(content, str) else content
    return Part(lambda _: data)


def file(path: Path) -> Part:
    """A file of this checkout."""
    return Part(lambda _: path.read_bytes())


def directory(path: Path, below: str) -> Mapping[str, Part]:
    """All files of a directory of this checkout, to lie in the directory `below`."""
    found = sorted(one for one in path.rglob("*") if one.is_file())
    return {f"{below}/{one.relative_to(path)}": file(one) for one in found}


def of_source(path: str) -> Part:
    """A file of the kernel's source, unchanged."""
    return Part(lambda kernel: (kernel.tree / path).read_bytes(), (path,))


def diff(*edits: Edit) -> Part:
    """A unified diff, as ``git diff`` writes it."""
    paths = tuple(dict.fromkeys(edit.path for edit in edits))

    def make(kernel: Kernel) -> bytes:
        return b"".join(
            _file_diff(kernel, path, [e for e in edits if e.path == path]) for path in paths
        )

    return Part(make, paths)


def _file_diff(kernel: Kernel, path: str, edits: list[Edit]) -> bytes:
    before = (kernel.tree / path).read_text()
    after = before
    for edit in edits:
        if after.count(edit.old) != 1:
            times = after.count(edit.old)
            raise WrongInput(f"{kernel.release}: {path} holds {times} times {edit.old!r}")
        after = after.replace(edit.old, edit.new)
    sides = (before.splitlines(True), after.splitlines(True))
    return "".join(difflib.unified_diff(*sides, f"a/{path}", f"b/{path}")).encode()


def appended(path: str, content: str, before: str = "\nfs_initcall(") -> Edit:
    """`content` in front of the line of a file that begins with `before`."""
    return Edit(path, before, f"\n{content}{before}")


def given(name: str) -> str:
    """A text of the directory ``inputs``."""
    return (INPUTS / name).read_text()


def compiled(source: str, *options: str) -> Part:
    """An object of C text, in which ``@NAME@`` stands for a function's address."""

    def make(kernel: Kernel) -> bytes:
        return _compile(kernel.with_addresses(source), options)

    return Part(make)


def _compile(source: str, options: tuple[str, ...]) -> bytes:
    with tempfile.TemporaryDirectory() as made:
        # Read from stdin, so that no name of a file gets into the object.
        command = ["gcc", *KERNEL_OPTIONS, *options, "-x", "c", "-c", "-o", "out.o", "-"]
        done = subprocess.run(
            command, cwd=made, input=source, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise WrongInput(done.stderr)
        return Path(made, "out.o").read_bytes()
