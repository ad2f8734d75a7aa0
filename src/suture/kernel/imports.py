# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the target's modules link with an exported symbol."""

from __future__ import annotations

from suture.elf import reader
from suture.host.progress import step
from suture.kernel import modules
from suture.kernel.release import Target


def importers(target: Target, name: str) -> tuple[str, ...]:
    """The names of the modules that have `name` as an undefined symbol, sorted.  All module files are read.

    :raises Refusal: ``file-unreadable``, ``module-malformed``
    """
    found = []
    wanted = b"\0" + name.encode() + b"\0"  # in a string table
    with step("Searching all modules", name):
        for module, path in sorted(modules.index(target).items()):
            data = modules.read(path)
            if wanted in data and any(s.is_undefined and s.name == name for s in reader.read(data, module).symbols):
                found.append(module)
    return tuple(found)
