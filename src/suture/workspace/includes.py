# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that may include a changed one, from the ``#include`` lines of the whole tree.

The result has too many files rather than too few: it ignores conditions, and a name stands for
every file that an include path could find.  The compiler's own list of the files it read then shows
which of them really include it.

1. `scan` records all include lines of a tree once, when the workspace is made.
2. `users` follows them backwards from the changed files.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from suture.errors import WORKSPACE_FAILED, Refusal
from suture.host.run import check, run
from suture.workspace.kbuild import clean_environment

RECIPE = "1"
"""Raised whenever `users` finds other files from the same lines."""

_OTHER = ("Documentation", "arch")
_NO_MATCH = 1  # grep(1): nothing found
_AT_ONCE = 2000
"""Files for one command line."""

_SOURCES = ("*.[chS]", "*.dts*")
_OF_SOURCES = (
    r"^[[:space:]]*#[[:space:]]*(include|define[[:space:]]+[A-Z_]*INCLUDE_FILE[[:space:]])",
)
"""Include lines; the two macros that stand for a file name in one
(``include/trace/define_trace.h``, ``include/linux/genl_magic_func.h``)."""

_MAKEFILES = ("Makefile*", "Kbuild*")
_OF_MAKEFILES = (
    r"^[^#]*[[:space:]]-include[[:space:]]+[^[:space:]]+\.h",
    r"^[^#]*/[[:alnum:]_-]+\.o[[:space:]]*:.*\.c",
)
"""The compiler's option of that name, and rules for an object with a source elsewhere
(``kernel/bpf/Makefile``: ``$(obj)/relo_core.o: $(srctree)/tools/lib/bpf/relo_core.c``).  Searched
for apart: what may begin anywhere in a line takes twice the time, and there are few makefiles."""

_NAMED = re.compile(r'#\s*include(?:_next)?\s*(?:/\*.*?\*/\s*)?([<"])([^>"]+)[>"]')
_DEFINED = re.compile(r'#\s*define\s+\w+\s+[<"]?([\w./-]+)')
_SELF = re.compile(r"#\s*include(?:_next)?\s+(?:TRACE_INCLUDE\(|GENL_MAGIC_INCLUDE_FILE|CONFIG_)")
_OPTION = re.compile(r"-include\s+(\S+\.h)")
_FOR_PROGRAMS = re.compile(r"HOST|userccflags")
_ELSEWHERE = re.compile(r"/([\w-]+)\.o\s*:.*?\$\((?:srctree|src)\)/(\S+\.c)\b")


@dataclass(frozen=True, slots=True)
class _Include:
    """An include line: `file` includes `name`.

    :ivar quoted: the directory of `file` is searched first.
    :ivar everything: the name is unknown and may mean any file.
    """

    file: str
    name: str
    quoted: bool
    everything: bool = False


def scan(tree: Path, architecture: str) -> str:
    """Return all include lines of `tree` as ``FILE:LINE``, without other architectures.

    :raises Refusal: ``workspace-failed``
    """
    everything = _searched(tree, architecture)
    # drivers/ is as large as all the others together, and one core can search it while another
    # searches those.
    drivers, others = (
        [name for name in everything if (name == "drivers") is wanted] for wanted in (True, False)
    )
    searches = [
        (_SOURCES, _OF_SOURCES, drivers),
        (_SOURCES, _OF_SOURCES, others),
        (_MAKEFILES, _OF_MAKEFILES, everything),
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return "".join(pool.map(lambda search: _grep(tree, *search), searches))


def scan_beside(tree: Path, architecture: str, shared: Collection[str], lines: str) -> str:
    """Return what `scan` would for a tree that shares files with another.

    :param shared: the files that are the same in both.
    :param lines: those of the other tree.
    :raises Refusal: ``workspace-failed``
    """
    top = _searched(tree, architecture)
    searches = []
    for names, patterns in ((_SOURCES, _OF_SOURCES), (_MAKEFILES, _OF_MAKEFILES)):
        files = [name for name in _listed(tree, names, top) if name not in shared]
        parts = [files[start : start + _AT_ONCE] for start in range(0, len(files), _AT_ONCE)]
        searches += [((), patterns, part) for part in parts]
    kept = [line for line in lines.splitlines(keepends=True) if line.partition(":")[0] in shared]
    return "".join(kept) + "".join(_grep(tree, *search) for search in searches)


def _listed(tree: Path, names: Sequence[str], directories: Sequence[str]) -> list[str]:
    """Return the files of these names below directories."""
    either = " -o -name ".join(names).split(" ")
    command = ["find", *directories, "-type", "f", "(", "-name", *either, ")"]
    found = check(command, kind=WORKSPACE_FAILED, cwd=tree, env=clean_environment())
    return found.stdout.splitlines()


def _searched(tree: Path, architecture: str) -> list[str]:
    """Return the directories that may hold what is compiled."""
    top = (entry.name for entry in tree.iterdir() if entry.is_dir() and entry.name not in _OTHER)
    return [*sorted(top), f"arch/{architecture}"]


def _grep(tree: Path, names: Sequence[str], patterns: Sequence[str], places: Sequence[str]) -> str:
    """Return the lines that match, in files, and in files of these names below directories."""
    if not places:
        return ""
    options = [
        *(f"--include={name}" for name in names),
        *(f"--regexp={pattern}" for pattern in patterns),
    ]
    finished = run(["grep", "-rIEH", *options, "--", *places], cwd=tree, env=clean_environment())
    if finished.status > _NO_MATCH:
        raise Refusal(
            WORKSPACE_FAILED,
            str(tree),
            "cannot be searched",
            evidence=finished.stderr.splitlines()[-5:],
        )
    return finished.stdout


def of_c_files(lines: str) -> str:
    """Return the include lines that name a ``.c`` file; every patch needs these few."""
    named = (line for line in lines.splitlines(keepends=True) if '.c"' in line or ".c>" in line)
    return "".join(named)


def users(tree: Path, lines: str, changed: Collection[str]) -> frozenset[str]:
    """Return all files that may include one of `changed`, directly or through others, without the
    changed files themselves unless they include each other.

    A makefile in the result stands for all objects below its directory.
    """
    return frozenset(IncludeGraph(tree, lines).users(changed))


class IncludeGraph:
    """The include lines of a tree, to be followed from more than one file."""

    def __init__(self, tree: Path, lines: str) -> None:
        """Read the lines that `scan` returned."""
        self._tree = tree
        self._by_base: dict[str, list[_Include]] = defaultdict(list)
        self._unknown: list[_Include] = []
        for include in _parse(lines):
            if include.everything:
                self._unknown.append(include)
            else:
                self._by_base[os.path.basename(include.name)].append(include)

    def users(self, changed: Collection[str]) -> Iterator[str]:
        """Yield what `users` returns, the nearest first."""
        found: set[str] = set()
        unknown = self._unknown
        waiting = deque(changed)
        while waiting:
            path = waiting.popleft()
            named, unknown = [*self._by_base.get(os.path.basename(path), ()), *unknown], []
            for include in named:
                if include.file in found:
                    continue
                if include.everything or _may_mean(self._tree, include, path):
                    found.add(include.file)
                    waiting.append(include.file)
                    yield include.file


def _parse(lines: str) -> Iterator[_Include]:
    for line in lines.splitlines():
        file, _, text = line.partition(":")
        include = _of_makefile(file, text) if is_makefile(file) else _of_source(file, text)
        if include is not None:
            yield include


def is_makefile(path: str) -> bool:
    """Tell whether a file is a makefile of kbuild."""
    return os.path.basename(path).startswith(("Makefile", "Kbuild"))


def _of_source(file: str, text: str) -> _Include | None:
    if named := _NAMED.search(text):
        return _Include(file, named[2], named[1] == '"')
    if defined := _DEFINED.search(text):
        name = defined[1] if defined[1].endswith(".h") else f"{defined[1]}.h"
        # A header of trace points that names its own name has itself read again, not one of the
        # many namesakes.
        return (
            None
            if os.path.basename(name) == os.path.basename(file)
            else _Include(file, name, quoted=False)
        )
    if "include" not in text or _SELF.search(
        text
    ):  # what it names stands in a definition or in the configuration
        return None
    if file.startswith("tools/"):  # programs of the host
        return None
    return _Include(file, "", quoted=False, everything=True)


def _of_makefile(file: str, text: str) -> _Include | None:
    if option := _OPTION.search(text):
        return _Include(file, option[1].rpartition(")")[2].lstrip("/"), quoted=False)
    if elsewhere := _ELSEWHERE.search(
        text
    ):  # as if a source beside the object included the real one
        return _Include(f"{os.path.dirname(file)}/{elsewhere[1]}.c", elsewhere[2], quoted=False)
    return None


def of_text(path: str, content: bytes) -> str:
    """Return the include lines of one file, in the form of `scan`."""
    wanted = re.compile(r"\s*#\s*(include|define\s+[A-Z_]*INCLUDE_FILE\s)")
    lines = content.decode(errors="surrogateescape").split("\n")
    return "".join(f"{path}:{line}\n" for line in lines if wanted.match(line))


def _may_mean(tree: Path, include: _Include, path: str) -> bool:
    if include.quoted:
        beside = os.path.normpath(os.path.join(os.path.dirname(include.file), include.name))
        if beside == path:
            return True
        if os.path.isfile(
            tree / beside
        ):  # unlike Path.is_file(), it takes a name that is too long for one that is not
            return False  # the compiler takes that one
    name = os.path.normpath(include.name)
    while name.startswith("../"):
        name = name[3:]
    if path.startswith("tools/") and not (
        include.file.startswith(("tools/", "scripts/"))
        or name.startswith("tools/")
        or _tools_are_searched(tree)
    ):
        return False
    return path == name or path.endswith(f"/{name}")


@lru_cache(1)
def _tools_are_searched(tree: Path) -> bool:
    """Whether an object of the kernel finds headers in ``tools/``, which has namesakes of hundreds.

    Example: ``tools/include/linux/string.h``.  The kernel's makefiles name that directory for
    programs of the build host (arch/x86/boot/Makefile: ``HOST_EXTRACFLAGS``) and of user space
    (net/bpfilter/Makefile: ``userccflags``) alone.
    """
    own = ("tools", "scripts", "samples", "Documentation")
    directories = [entry.name for entry in tree.iterdir() if entry.name not in own]
    found = _grep(tree, _MAKEFILES, [r"-I[[:space:]]*[^[:space:]]*/tools/"], directories)
    return any(not _FOR_PROGRAMS.search(line) for line in found.splitlines())


def forced(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the headers that kbuild makes the compiler read before every file."""
    words = environment.get("LINUXINCLUDE", "").split()
    pairs = pairwise(words)
    return frozenset(os.path.normpath(name) for option, name in pairs if option == "-include") | {
        "include/linux/compiler_types.h"  # scripts/Makefile.lib: c_flags
    }
