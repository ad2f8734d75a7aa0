# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that the build makes, files that it makes others from, and the programs that do it.

No object is compiled from them, so a change takes effect where a whole kernel is built.  Each is
refused by name, by what stands in the makefiles on the way to it, before any object is looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from suture.errors import BUILD_SYSTEM_CHANGED, Refusal
from suture.workspace import command
from suture.workspace.programs import program

MAKEFILES = ("Makefile", "Kbuild")

_MADE = re.compile(r"(?:^|/)include/(?:generated|config)/")
"""Directories of what the build writes (Makefile: LINUXINCLUDE; scripts/kconfig/Makefile)."""

_SPLICED = re.compile(r"\\\n")
_HOST_PROGRAMS = re.compile(r"^[ \t]*hostprogs\S*[ \t]*[:+?]?=(.*)$", re.MULTILINE)
_PARTS = re.compile(r"^[ \t]*(\S+)-objs[ \t]*[:+?]?=(.*)$", re.MULTILINE)
_ELSEWHERE = re.compile(
    r"^\$\(obj\)/(?P<object>\S+\.o)[ \t]*:"
    r"[ \t]*\$\((?P<top>srctree|src)\)/(?P<source>\S+\.c)\b",
    re.MULTILINE,
)
_OBJECTS = re.compile(r"^[ \t]*(?:obj|lib|core|libs|drivers)-\S+[ \t]*[:+?]?=", re.MULTILINE)


def refuse_made(tree: Path, paths: Iterable[str], include_lines: str) -> None:
    """Refuse files that take effect only where a whole kernel is built.

    - ``include/generated/autoconf.h``, and what else the build writes.
    - ``lib/gen_crc32table.c``: a program that runs while the kernel is built.
    - ``drivers/tty/vt/cp437.uni``: not C, and nothing includes it.

    :param paths: files that are no object's own source.
    :param include_lines: see `suture.workspace.includes.scan`.
    :raises Refusal: ``build-system-changed``
    """
    for path in paths:
        if _MADE.search(path) or _has_command(tree, path):
            raise Refusal(
                BUILD_SYSTEM_CHANGED,
                path,
                "is made by the build",
                why="The source of the kernel does not have this file: the build writes it anew.",
                remedy="Change what it is made from.",
            )
        if program(path) is None and (maker := _host_program(tree, path)):
            raise Refusal(
                BUILD_SYSTEM_CHANGED,
                path,
                f"is part of a program that runs while the kernel is built ({maker})",
            )
        base = os.path.basename(path)
        is_included = any(f"{base}{end}" in include_lines for end in '">')
        if not (path.endswith((".c", ".h")) or is_included):
            user = _user(tree, path)
            used = f"; {user} has the build make other files from it" if user else ""
            raise Refusal(BUILD_SYSTEM_CHANGED, path, f"is not C, and no C file includes it{used}")


def _has_command(tree: Path, path: str) -> bool:
    """Whether kbuild saved the command by which it made a file, such as ``lib/crc32table.h``."""
    return (tree / path).is_file() and command.saved_in(tree, path).is_file()


def _host_program(tree: Path, path: str) -> str:
    """Return the makefile that makes a program of the build host from a C file; "" if none does."""
    for makefile, directory, text in _makefiles(tree, path):
        programs = _HOST_PROGRAMS.findall(text)
        if not programs:
            continue
        if os.path.dirname(path) == directory and not _OBJECTS.search(text):
            return makefile  # arch/x86/tools/Makefile: there is nothing else
        names = {word for words in programs for word in words.split()}
        parts = {name: words.split() for name, words in _PARTS.findall(text) if name in names}
        stems = names | {os.path.splitext(part)[0] for listed in parts.values() for part in listed}
        if os.path.relpath(os.path.splitext(path)[0], directory or ".") in stems:
            return makefile
    return ""


def source_elsewhere(tree: Path, path: str) -> str:
    """Return the C file from which a makefile's own rule makes an object; "" if there is no such
    rule.

    Examples: ``kernel/bpf/relo_core.o`` of ``tools/lib/bpf/relo_core.c``; of 6.12
    ``drivers/gpu/drm/xe/i915-display/intel_tc.o`` of ``drivers/gpu/drm/i915/display/intel_tc.c``.
    """
    for _, directory, text in _makefiles(tree, path):
        target = os.path.relpath(path, directory or ".")
        for rule in _ELSEWHERE.finditer(text):
            made, source = rule["object"], rule["source"]
            before, wildcard, after = made.partition("%")
            stem = target[len(before) : len(target) - len(after)]
            if target == made or (wildcard and target == before + stem + after):
                top = "" if rule["top"] == "srctree" else directory
                return os.path.normpath(os.path.join(top, source.replace("%", stem)))
    return ""


def _user(tree: Path, path: str) -> str:
    """Return the makefile that names a file, or all of its kind: ``%.map``; "" if none does."""
    base, suffix = os.path.basename(path), os.path.splitext(path)[1]
    wanted = [base, *(f"{wildcard}{suffix}" for wildcard in "%*" if suffix)]
    return next(
        (
            makefile
            for makefile, _, text in _makefiles(tree, path)
            if any(word in text for word in wanted)
        ),
        "",
    )


def _makefiles(tree: Path, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield the makefiles of a file's directory and of those above: name, directory, text."""
    directory = os.path.dirname(path)
    while True:
        for name in MAKEFILES:
            makefile = os.path.join(directory, name)
            if (tree / makefile).is_file():
                text = (tree / makefile).read_text(errors="surrogateescape")
                yield makefile, directory, _SPLICED.sub(" ", text)
        if not directory:
            return
        directory = os.path.dirname(directory)
