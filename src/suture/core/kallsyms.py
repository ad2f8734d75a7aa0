# SPDX-License-Identifier: GPL-2.0-or-later
"""How many symbols of a name each object of the running kernel has.

``/proc/kallsyms`` has a line ``ADDRESS TYPE NAME`` for each, with ``\\t[MODULE]`` after it for
those of modules.  The addresses are hidden from most users, the names are not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from suture.core.patches import LoadedPatch
from suture.core.running import ROOT
from suture.model import VMLINUX


def count(
    wanted: Collection[tuple[str, str]], root: Path = ROOT
) -> Counter[tuple[str, str]] | None:
    """Count the symbols of each name in each object.

    :param wanted: (object, symbol).
    :return: None where the kernel shows no symbols
    """
    if not wanted:
        return Counter()
    try:
        listing = (root / "proc/kallsyms").read_bytes()
    except OSError:
        return None
    if not listing:
        return None
    names = b"|".join(re.escape(name.encode()) for name in sorted({name for _, name in wanted}))
    # One search over five megabytes; a step of Python for each line takes twenty times as long.
    lines = re.finditer(rb" (%s)(?:\t\[(\w+)\])?\n" % names, listing)
    return Counter(
        (match[2].decode() if match[2] else VMLINUX, match[1].decode()) for match in lines
    )


def said_positions(patch: LoadedPatch, root: Path = ROOT) -> LoadedPatch:
    """Return a live patch with the positions that its module has: 0 for the only symbol of a name.

    The core shows 1 there (kernel/livepatch/core.c: klp_init_func()), for a symbol that the module
    calls the first of several too.  Symbols of a module that is not loaded cannot be counted, and
    keep what the core shows.
    """
    wanted = {(one.name, function.name) for one in patch.objects for function in one.functions}
    counted = count(wanted, root) or Counter()
    objects = []
    for one in patch.objects:
        functions = [
            replace(function, sympos=0) if counted[one.name, function.name] == 1 else function
            for function in one.functions
        ]
        objects.append(replace(one, functions=tuple(functions)))
    return replace(patch, objects=tuple(objects))


def other_names(objname: str, name: str, root: Path = ROOT) -> frozenset[str]:
    """Return all names of the functions of a name in an object, this one among them; nothing where
    the kernel hides addresses."""
    try:
        listing = (root / "proc/kallsyms").read_bytes()
    except OSError:
        return frozenset()
    line_end = name if objname == VMLINUX else f"{name}\t[{objname}]"
    wanted = rb"^(\w+) . %s$" % re.escape(line_end.encode())
    found: set[str] = set()
    for match in re.finditer(wanted, listing, re.MULTILINE):
        if int(match[1], 16):
            lines = re.finditer(rb"^%s . (\S+)" % match[1], listing, re.MULTILINE)
            found.update(line[1].decode() for line in lines)
    return frozenset(found)
