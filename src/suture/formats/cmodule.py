# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches that are C modules: the files of an author's module, and how kbuild compiles them.

An input is a C file (with the headers beside it that it includes), or a directory with a Makefile
or with SUSE's ``livepatch_main.c``.  It is read into a value, so that the compiler later gets
exactly the files that were checked, and no other file of the author's.  Makefiles are read
(`suture.formats.makefile`), never run.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from suture.errors import (
    INCLUDE_CYCLE,
    NOT_A_MODULE_SOURCE,
    SOURCE_ESCAPES,
    SOURCE_TOO_LARGE,
    SUSE_FIX_UNKNOWN,
    Refusal,
)
from suture.formats import makefile, suse
from suture.host.files import read_bytes, walk
from suture.kernel.config import Config
from suture.model import Fix

SUFFIXES = (".c", ".h")
MOST_BYTES = 32 << 20
"""Of a directory's C files; the largest that SUSE published hold some 2 MB."""

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"\n]+)"', re.MULTILINE)
_GUARD = re.compile(r"^[ \t]*#[ \t]*(?:pragma[ \t]+once|ifndef[ \t]|if[ \t]+!)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9_.+/-]+")
_KGRAFT = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]linux/kgr(?:aft)?\.h[>"]', re.MULTILINE)
_LIVEPATCH = re.compile(r"\bstruct\s+klp_patch\b")


class Dialect(StrEnum):
    """The interface that a module uses."""

    KGRAFT = "kGraft module"
    LIVEPATCH = "livepatch module"
    PLAIN = "module"


@dataclass(frozen=True, slots=True)
class CModule:
    """The source of one module.

    :ivar name: the module's name, as the kernel writes it.
    :ivar where: the input, as the user named it, for messages.
    :ivar files: path from the top of the source -> contents: the C files and all headers that they
        may include.
    :ivar parts: the C files that are compiled and linked, of `files`.
    :ivar include: directories of `files` that are searched for headers.
    :ivar options: ``-D`` and ``-U`` options for the compiler.
    :ivar because: the evidence for the dialect, such as ``includes <linux/kgraft.h>``.
    """

    name: str
    where: str
    files: Mapping[str, bytes]
    parts: tuple[str, ...]
    include: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    dialect: Dialect = Dialect.PLAIN
    because: str = ""

    def renamed(self, name: str) -> CModule:
        """Return the same module under another name."""
        return dataclasses.replace(self, name=name)

    def text(self, path: str) -> str:
        """Return one of its files as text."""
        return self.files[path].decode(errors="replace")

    def line_of(self, *words: str) -> str:
        """Return ``FILE:LINE`` of the first line that names all of `words`, for messages; the input
        if none does.

        SUSE's tables come first: Suture writes what they say into the main file, whose lines then
        are not the author's.
        """
        wanted = [re.compile(rf"(?<!\w){re.escape(word)}(?!\w)") for word in words]
        tables = [path for path in self.files if path.endswith(suse.TABLE)]
        others = sorted(set(self.files) - set(self.parts) - set(tables))
        for path in (*tables, *self.parts, *others):
            for number, line in enumerate(self.text(path).splitlines(), 1):
                if all(pattern.search(line) for pattern in wanted):
                    return f"{path}:{number}"
        return self.where

    def definition_of(self, function: str, part: str) -> str:
        """Return ``FILE:LINE`` of the definition of a function in a part; the file alone if no line
        begins one."""
        begins = re.compile(rf"^\w.*?\b{re.escape(function)}\s*\([^;]*$")
        for number, line in enumerate(self.text(part).splitlines(), 1):
            if begins.match(line):
                return f"{part}:{number}"
        return part


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """The modules of an input: one, or several that a Makefile lists.

    :ivar fixes: of SUSE's directories, the names of the fixes in the one module.
    """

    where: str
    modules: tuple[CModule, ...]
    fixes: tuple[str, ...] = ()


def is_module_source(path: Path) -> bool:
    """Tell whether `read` accepts an input."""
    return path.is_dir() or path.suffix == ".c"


def read(path: Path, config: Config, release: str, only: Sequence[str] = ()) -> ModuleSource:
    """Read a C file or a directory.

    :param config: the target's, by which a Makefile's conditions are decided.
    :param release: the target's, for what SUSE's place holders stand for.
    :param only: the fixes to take of one of SUSE's directories; none of them: all.
    :raises Refusal: ``file-unreadable``, ``not-a-module-source``, ``source-escapes``,
        ``source-too-large``, ``include-cycle``, and what `suture.formats.makefile` and
        `suture.formats.suse` raise
    """
    if not path.is_dir():
        _refuse_fixes(path, only)
        module = _module(path.stem, str(path), with_headers(path), (path.name,), (), ())
        return ModuleSource(str(path), (module,))
    found = _directory(path)
    if suse.is_main(found):
        expanded = suse.expand(str(path), found, release, only)
        named = (_module(expanded.name, str(path), expanded.files, expanded.parts, ("",), ()),)
        return ModuleSource(str(path), named, expanded.fixes)
    _refuse_fixes(path, only)
    files = {name: data for name, data in found.items() if name.endswith(SUFFIXES)}
    listed = next((name for name in ("Kbuild", "Makefile") if (path / name).is_file()), None)
    if listed is None:
        raise Refusal(
            NOT_A_MODULE_SOURCE,
            str(path),
            "it contains no Makefile, no Kbuild and no livepatch_main.c",
        )
    text = read_bytes(path / listed).decode(errors="replace")
    read_from = makefile.read(str(path / listed), text, config, frozenset(files))
    modules = [
        _module(one.name, str(path), files, one.parts, one.include, one.options)
        for one in read_from
    ]
    return ModuleSource(str(path), tuple(modules))


def fixes_of(path: Path, only: Sequence[str] = ()) -> tuple[Fix, ...]:
    """Return the fixes in one of SUSE's directories, each with its name as the title.

    :param only: as in `read`.
    :raises Refusal: ``suse-fix-unknown``, and what reading files raises
    """
    files = _directory(path)
    return tuple(suse.described(name, files) for name in suse.fixes_of(str(path), files, only))


def _refuse_fixes(path: Path, only: Sequence[str]) -> None:
    """Refuse names of fixes for an input that is none of SUSE's directories.

    :raises Refusal: ``suse-fix-unknown``
    """
    if only:
        found = f"{path} is no directory with a {suse.MAIN}"
        raise Refusal(SUSE_FIX_UNKNOWN, f"--only {only[0]}", found)


def with_headers(path: Path) -> dict[str, bytes]:
    """Return a C file and the files that it includes from its directory and those below, by their
    paths from there.

    :raises Refusal: as `read`
    """
    if path.suffix not in SUFFIXES:
        found = "its name does not end with .c, so kbuild would not compile it"
        raise Refusal(NOT_A_MODULE_SOURCE, str(path), found)
    _check_name(path.name, str(path))
    files: dict[str, bytes] = {}
    waiting = [path.name]
    while waiting:
        name = waiting.pop()
        if name not in files:
            files[name] = _within(path.parent, name)
            text = files[name].decode(errors="replace")
            waiting += [one for _, one in _included(name, text) if (path.parent / one).is_file()]
    return files


def _module(
    name: str,
    where: str,
    files: Mapping[str, bytes],
    parts: Sequence[str],
    include: Sequence[str],
    options: Sequence[str],
) -> CModule:
    _refuse_cycles(files)
    dialect, because = _dialect(files, parts)
    return CModule(
        name.replace("-", "_"),
        where,
        files,
        tuple(parts),
        tuple(include),
        tuple(options),
        dialect,
        because,
    )


def _dialect(files: Mapping[str, bytes], parts: Sequence[str]) -> tuple[Dialect, str]:
    texts = [(path, files[path].decode(errors="replace")) for path in _reached(files, parts)]
    for part, text in texts:
        if _KGRAFT.search(text):
            return Dialect.KGRAFT, f"{part} includes <linux/kgraft.h>"
    for part, text in texts:
        if _LIVEPATCH.search(text):
            return Dialect.LIVEPATCH, f"{part} has a struct klp_patch"
    return Dialect.PLAIN, "it has neither a struct klp_patch nor <linux/kgraft.h>"


def _reached(files: Mapping[str, bytes], parts: Sequence[str]) -> list[str]:
    """Return the parts and the files of the source that they include; a module's file may include
    another C file."""
    reached = dict.fromkeys(parts)
    waiting = list(parts)
    while waiting:
        name = waiting.pop(0)
        for _, included in _included(name, files[name].decode(errors="replace")):
            if included in files and included not in reached:
                reached[included] = None
                waiting.append(included)
    return list(reached)


def _directory(top: Path) -> dict[str, bytes]:
    """Return the C files below a directory, and what else SUSE's have, except hidden ones; refuse
    links to places outside."""
    files: dict[str, bytes] = {}
    total = 0
    for directory, below, names in walk(top):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = Path(directory, name)
            relative = path.relative_to(top).as_posix()
            if name.startswith(".") or not (path.suffix in SUFFIXES or suse.is_read(name)):
                continue
            _check_name(relative, str(path))
            files[relative] = _within(top, relative)
            total += len(files[relative])
            if total > MOST_BYTES:
                raise Refusal(
                    SOURCE_TOO_LARGE, str(top), f"it contains more than {MOST_BYTES >> 20} MiB of C"
                )
    return files


def _within(top: Path, name: str) -> bytes:
    path = top / name
    if not path.resolve().is_relative_to(top.resolve()):
        raise Refusal(SOURCE_ESCAPES, str(path), f"it is a link to {path.resolve()}, outside {top}")
    return read_bytes(path)


def _check_name(name: str, where: str) -> None:
    """Refuse a file name that a makefile cannot hold, such as one with a space or a dollar sign."""
    if not _NAME.fullmatch(name):
        raise Refusal(
            NOT_A_MODULE_SOURCE, where, "its name has characters that kbuild does not accept"
        )


def _included(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Yield line and path, from the top of the source, of each file that a file includes in quotes.

    The compiler looks for it beside the file, then elsewhere; a missing file is the compiler's
    matter.

    :raises Refusal: ``source-escapes``
    """
    for match in _INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        included = os.path.normpath(PurePosixPath(name).parent / match[1])
        if included.startswith(("/", "../")):
            raise Refusal(
                SOURCE_ESCAPES,
                f"{name}:{line}",
                f"it includes {match[1]}, which is not in its directory",
            )
        yield line, included


def _refuse_cycles(files: Mapping[str, bytes]) -> None:
    """Refuse headers that include each other without a guard; the compiler only reports a nesting
    depth of 200."""
    texts = {name: data.decode(errors="replace") for name, data in files.items()}
    edges = {name: list(_included(name, text)) for name, text in texts.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        for line, included in edges.get(name, ()):
            if included in way:
                circle = (*way[way.index(included) :], included)
                if not any(_GUARD.search(texts[one]) for one in circle):
                    raise Refusal(INCLUDE_CYCLE, f"{name}:{line}", " includes ".join(circle))
            elif included in texts and included not in done:
                visit(included, (*way, included))
        done.add(name)

    for name in files:
        visit(name, (name,))
