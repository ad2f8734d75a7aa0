# SPDX-License-Identifier: GPL-2.0-or-later
"""kbuild's own programs, compiled once for the kernels of a series: fixdep, conf, modpost, objtool.

They run on this host while kbuild works, and compiling them takes most of the time of ``make
modules_prepare``.  Beside each product, kbuild notes the command that made it and the files that it
read (``scripts/mod/.modpost.o.cmd``).

1. `take` copies from a neighbour, the workspace of another kernel, each product with inputs that
   are the same in both trees.  Of 6.1.176's ``scripts/kconfig``, all but ``conf.o`` and ``conf``
   are right for 6.1.192, where ``conf.c`` is another.
2. `touch` makes them newer than the configuration.
3. kbuild compares the noted commands with its own, as ever, and makes again what differs.

What is not in the tree is the same by `identity`: compilers and headers of this host.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path

from suture.host.run import check
from suture.workspace import host_objects
from suture.workspace.kbuild import clean_environment

TOOLS = ("gcc", "as", "ld", "ar", "flex", "bison", "awk")
"""What makes kbuild's programs and their sources (``HOSTCC``, ``scripts/Makefile.host``)."""

SYSTEM_HEADERS = (Path("/usr/include"), Path("/usr/local/include"))

OBJTOOL = "tools/objtool"

OBJTOOL_SOURCES = (
    OBJTOOL, "tools/build", "tools/scripts", "tools/lib/subcmd", "tools/arch/*/lib",
    "tools/arch/*/tools",
)  # fmt: skip
"""Read by objtool's build without a note: makefiles, and the table of instructions with the awk
script that turns it into ``inat-tables.c`` (``tools/objtool/arch/x86/Build``)."""

OBJTOOL_ROOTS = (OBJTOOL, "tools/build", "tools/lib")
"""The build of objtool enters several directories, and notes names from where it is:
``pager.c`` is ``tools/lib/subcmd/pager.c``.  A name counts as every file that it can mean from a
directory below these."""

OBJTOOL_HEADERS = ("tools/include", "tools/arch/*/include")
"""Where its sources find headers; one more may be found before the one that a note names."""

FOR_THE_KERNEL = "-D__KERNEL__"
"""In the commands of the target's compiler (``scripts/mod/empty.o``)."""

_COMMAND = re.compile(r"^(?:saved)?cmd_(\S+) :=", re.MULTILINE)
_OUTPUT = re.compile(r" (?:-o ?|--defines=)(\S+)")
"""bison writes ``parse.tab.c`` and ``parse.tab.h`` at once (``scripts/Makefile.host``)."""

_OPTION = re.compile(r"\$\(wildcard include/config/(\w+)\)")

IsSame = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class MadeProgram:
    """A product, and what kbuild has noted about it.

    :ivar outputs: the product, and what else its command writes; paths from the tree's top.
    :ivar words: all words of the note, files among them.
    :ivar options: the options without ``CONFIG_`` that its sources mention.
    """

    note: str
    outputs: tuple[str, ...]
    words: tuple[str, ...]
    options: tuple[str, ...]


def identity() -> str:
    """Return a digest of what this host compiles kbuild's programs with: a package's files have
    the sizes and times of its build.

    :raises Refusal: ``tool-missing``, ``command-failed``
    """
    environment = clean_environment()
    found = (shutil.which(name, path=environment["PATH"]) for name in TOOLS)
    cc1 = check(["gcc", "-print-prog-name=cc1"], env=environment).stdout.strip()
    programs = [os.path.realpath(path) for path in (*found, cc1) if path]
    headers = (path for top in SYSTEM_HEADERS for path in top.rglob("*"))
    digest = hashlib.sha256()
    for path in (*programs, *sorted(map(str, headers))):
        digest.update(_described(path).encode(errors="surrogateescape"))
    return digest.hexdigest()


def _described(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:  # a link to nowhere
        return f"{path}\n"
    return f"{path} {status.st_size} {status.st_mtime_ns}\n"


def take(tree: Path, other: Path, same_options: Callable[[Iterable[str]], bool]) -> list[Path]:
    """Copy the products that would be made the same, and return them.

    :param tree: with all its sources, and nothing made yet.
    :param other: the tree of a workspace of the same `identity`.
    :param same_options: whether both configurations agree on options.
    """
    is_same = _comparison(tree, other)
    tops = ["scripts", *(str(path.relative_to(other)) for path in other.glob("arch/*/tools"))]
    pending = [one for top in tops for one in _notes(other, top)]
    taken: list[str] = []
    while True:
        ready = [
            one
            for one in pending
            if same_options(one.options) and all(map(is_same, _inputs(one, other)))
        ]
        if not ready:
            break
        for one in ready:
            taken += [_copy(tree, other, name) for name in (*one.outputs, one.note)]
        pending = [one for one in pending if one not in ready]
    taken += _objtool(tree, other, is_same)
    paths = [tree / name for name in taken]
    touch(paths)
    return paths


def touch(paths: Iterable[Path]) -> None:
    """Give files one time, now: none is older than another, or than what is there."""
    now = time.time_ns()
    for path in paths:
        os.utime(path, ns=(now, now))


def _comparison(tree: Path, other: Path) -> IsSame:
    def is_same(name: str) -> bool:
        """Whether both trees have the same file; most are one."""
        ours, theirs = tree / name, other / name
        try:
            return ours.samefile(theirs) or cmp(ours, theirs, shallow=False)
        except OSError:
            return False

    return is_same


def _notes(other: Path, top: str) -> Iterator[MadeProgram]:
    """Yield what kbuild has made for this host below a directory."""
    for path in sorted((other / top).rglob(".*.cmd")):
        text = path.read_text(errors="surrogateescape")
        named = _COMMAND.search(text)
        if named is None or FOR_THE_KERNEL in text:
            continue
        outputs = dict.fromkeys((named[1], *_OUTPUT.findall(text)))
        if all((other / name).is_file() for name in outputs):
            words = tuple({word.rstrip(":") for word in text.split()})
            note = str(path.relative_to(other))
            yield MadeProgram(note, tuple(outputs), words, tuple(_OPTION.findall(text)))


def _inputs(one: MadeProgram, other: Path) -> Iterator[str]:
    """Yield the files of the tree that its note names."""
    for word in one.words:
        if not word.startswith("/") and word not in one.outputs and (other / word).is_file():
            yield word


def _objtool(tree: Path, other: Path, is_same: IsSame) -> list[str]:
    """Copy objtool whole, if all that it is made of is the same: part of its build leaves no notes.

    Its notes have the path that the tree had when it was made.
    """
    made = _made_below(other, OBJTOOL)
    notes = [other / name for name in made if name.endswith(".cmd")]
    texts = [path.read_text(errors="surrogateescape") for path in notes]
    root = re.search(rf"cmd_(/\S+)/{OBJTOOL}/", "\n".join(texts))
    if root is None or not all(map(is_same, _sources(tree, other, made))):
        return []
    named = {text: _named(text, root[1], other) - made for text in texts}
    differing = {name for name in set().union(*named.values()) if not is_same(name)}
    for name in made:
        _copy(tree, other, name, (root[1], str(tree)) if name.endswith((".cmd", ".d")) else None)
    # Another header need not make another program: 6.1.187 has one more macro in
    # tools/include/linux/bitops.h than 6.1.176, and objtool does not use it.
    added = _has_more(OBJTOOL_HEADERS, tree, other)
    reading = [
        text for text, names in named.items() if names & differing or (added and " -c " in text)
    ]
    if not all(host_objects.come_out_alike(text, root[1], (tree, other)) for text in reading):
        for name in made:
            (tree / name).unlink()
        return []
    return sorted(made)


def _made_below(other: Path, top: str) -> set[str]:
    """Return the files that make wrote: they are newer than the configuration."""
    configured = (other / ".config").stat().st_mtime_ns
    return {
        str(path.relative_to(other))
        for path in (other / top).rglob("*")
        if path.is_file() and path.stat().st_mtime_ns > configured
    }


def _sources(tree: Path, other: Path, made: Collection[str]) -> set[str]:
    """Return the files of `OBJTOOL_SOURCES` that either tree has."""
    found: set[str] = set()
    for top in (tree, other):
        for directory in (path for pattern in OBJTOOL_SOURCES for path in top.glob(pattern)):
            files = (path for path in directory.rglob("*") if path.is_file())
            found.update(str(path.relative_to(top)) for path in files)
    return found.difference(made)


def _has_more(patterns: Iterable[str], tree: Path, other: Path) -> bool:
    """Whether a tree has a file in some directories that another one does not have."""
    directories = (path for pattern in patterns for path in tree.glob(pattern))
    files = (path for directory in directories for path in directory.rglob("*"))
    return any(not (other / path.relative_to(tree)).exists() for path in files)


def _named(text: str, root: str, other: Path) -> set[str]:
    """Return the files of a tree that objtool's notes name, or may name."""
    names = {word.rstrip(":").removeprefix(f"{root}/") for word in text.split()}
    walked = (entry for top in OBJTOOL_ROOTS for entry in os.walk(other / top))
    directories = ["", *(os.path.relpath(directory, other) for directory, _, _ in walked)]
    found = set()
    for name in names:
        if name.startswith(("/", "-")):
            continue
        paths = (os.path.normpath(os.path.join(directory, name)) for directory in directories)
        found |= {path for path in paths if (other / path).is_file()}
    return found


def _copy(tree: Path, other: Path, name: str, moved: tuple[str, str] | None = None) -> str:
    """Copy a file, and return its name.

    :param moved: a path in it, and what it is now.
    """
    place = tree / name
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(other / name, place)
    if moved is not None:
        text = place.read_text(errors="surrogateescape")
        place.write_text(text.replace(*moved), errors="surrogateescape")
    return name
