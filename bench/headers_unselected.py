# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m bench.headers_unselected RELEASE``: does the selection of objects miss any?

For each header of `bench.header_cases`:

1. Functions of it are chosen at random among those that only some objects mention: static inline
   ones get another instruction, and prototypes the attribute ``__cold``, which moves the code of
   all callers.  A macro, a type, an enumerator, a variable and functions are added.
2. Objects are chosen at random among those that may include the header and are not selected.
3. The compiler is the witness: each is compiled with and without the change.  The objects that
   read the header must come out the same, byte for byte.

The exit status is 1 if one differs.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import header_cases
from bench.header_cases import KINDS, SITES, HeaderKind, HeaderSite
from suture import sources
from suture.cli import output
from suture.errors import Refusal
from suture.host.progress import reporter, step
from suture.host.reporters import for_stderr
from suture.workspace import includes, objects
from suture.workspace.applying import Changed
from suture.workspace.kbuild import ListedObject
from suture.workspace.lookups import word_index
from suture.workspace.mentions import files_mentioning, header_changes
from suture.workspace.original import originals
from suture.workspace.patched import patched_objects
from suture.workspace.prepare import Workspace, prepare
from suture.workspace.selection import select

FUNCTIONS = 8
"""Existing functions of a header that change."""

_INLINE = re.compile(r"^static inline [^;{}#]*?\b(\w+)\([^;{}#]*\)\n\{\n", re.MULTILINE)
_PROTOTYPE = re.compile(r"(?<=;\n)(?:extern )?\w[\w *]*\b(\w+)\([\w ,*]+\)(?=;\n)")

_ADDED = HeaderKind(
    "added",
    declared="".join(
        kind.declared for kind in KINDS if kind.name in ("macro", "type", "new inline")
    )
    + "bool suture_bench_even(unsigned long value);\nextern int suture_bench_count;\n\n",
    enumerator=next(kind.enumerator for kind in KINDS if kind.name == "enumerator"),
)


@dataclass(frozen=True, slots=True)
class UnselectedSample:
    """What a change of a header does to objects that are not selected.

    :ivar changed: the existing functions that change.
    :ivar may_include: how many objects may include the header.
    :ivar selected: how many of them are selected.
    :ivar read_it: how many of those that were compiled read the header.
    :ivar missed: those that differ.
    """

    header: str
    changed: tuple[str, ...]
    may_include: int
    selected: int
    read_it: int
    missed: tuple[str, ...]


def main() -> int:
    arguments = _arguments()
    output.json_wanted.set(arguments.json)
    reporter.set(for_stderr())
    try:
        workspace = prepare(sources.find(arguments.release))
        found = [
            _sampled(workspace, site, arguments.objects, random.Random(f"{arguments.seed} {site}"))
            for site in SITES
            if arguments.only in site.header
        ]
    except Refusal as refusal:
        output.refuse(refusal)
        return 1
    output.emit({"headers": list(map(asdict, found))}, lambda: "\n".join(_lines(found)))
    return int(any(one.missed for one in found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.headers_unselected",
        description="Compile objects that no change of a header is said to reach.",
    )
    parser.add_argument("release", metavar="RELEASE", help="a kernel that was fetched")
    parser.add_argument("--objects", metavar="N", type=int, default=30, help="of each header")
    parser.add_argument("--only", metavar="TEXT", default="", help="headers with it in their names")
    parser.add_argument("--seed", metavar="TEXT", default="1", help="for another choice")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return parser.parse_args()


def _sampled(
    workspace: Workspace, site: HeaderSite, count: int, chance: random.Random
) -> UnselectedSample:
    old = (workspace.tree / site.header).read_text()
    with step("Choosing functions", site.header):
        edits = list(_few_users(workspace, site.header, old, chance))
    added = header_cases.edited(workspace.tree, site, _ADDED, header_alone=True)[site.header]
    new = added
    for name, text, replacement in edits:
        assert new.count(text) == 1, name
        new = new.replace(text, replacement)
    change = Changed(site.header, old.encode(), new.encode())
    selected = {one.name for one in select(workspace, [change]).users}
    users = _users(workspace, site.header)
    others = sorted((one for one in users if one.name not in selected), key=lambda one: one.name)
    chosen = chance.sample(others, min(count, len(others)))
    before = originals(workspace, chosen)
    after = patched_objects(workspace, before, [change])
    reading = [one for one in before if site.header in one.compilation.reads]
    missed = [
        one.compilation.object
        for one in reading
        if after[one.compilation.object].content != one.content
    ]
    names = tuple(name for name, *_ in edits)
    return UnselectedSample(
        site.header, names, len(users), len(selected), len(reading), tuple(missed)
    )


def _few_users(
    workspace: Workspace, header: str, old: str, chance: random.Random
) -> Iterator[tuple[str, str, str]]:
    """Yield functions whose change does not make all objects candidates: name, text, and text to
    replace it with."""
    index = word_index(workspace)
    possible = list(_edits(old))
    chance.shuffle(possible)
    found = 0
    for name, text, replacement in possible:
        if old.count(text) != 1 or found == FUNCTIONS:
            continue
        new = old.replace(text, replacement)
        files = files_mentioning(
            index, header, header_changes([Changed(header, old.encode(), new.encode())])
        )
        if files is not None and all(path.endswith(".c") for path in files):
            found += 1
            yield name, text, replacement


def _edits(old: str) -> Iterator[tuple[str, str, str]]:
    for match in _INLINE.finditer(old):
        yield match[1], match[0], f'{match[0]}\tasm volatile("nop");\n'
    for match in _PROTOTYPE.finditer(old):
        yield match[1], f"\n{match[0]};\n", f"\n{match[0]} __cold;\n"


def _users(workspace: Workspace, header: str) -> frozenset[ListedObject]:
    """Return the objects that may include a header."""
    every = objects.everything(workspace)
    files = includes.users(workspace.tree, workspace.include_lines(), [header])
    return frozenset(
        one
        for path in files
        if (one := every.of(path)) and (Path(workspace.tree) / path).with_suffix(".c").is_file()
    )


def _lines(found: Sequence[UnselectedSample]) -> Iterator[str]:
    for one in found:
        yield f"{one.header}: {len(one.changed)} functions change: {', '.join(one.changed)}"
        yield (
            f"  {one.may_include} objects may include it, {one.selected} selected; "
            f"{one.read_it} of the others read it, {len(one.missed)} of them differ"
        )
        for name in one.missed:
            yield f"  missed: {name}"


if __name__ == "__main__":
    sys.exit(main())
