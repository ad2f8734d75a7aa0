# SPDX-License-Identifier: GPL-2.0-or-later
"""Which fixes of a newer version of the kernel's source a live patch has and lacks, in a note
(`suture.module.notes`), which the running kernel shows too.

The description is a JSON object: ``old`` and ``new``, and for each fix a list of its CVE numbers,
of its objects, and why it is lacking::

    {"old": "6.1.176-1", "new": "6.1.192-3", "fixes": [[["CVE-2026-1"], ["vmlinux"], ""]]}
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from suture.model import Update, UpdateFix
from suture.module import notes

if TYPE_CHECKING:
    from suture.elf.object import ObjectFile


def with_note(module: ObjectFile, update: Update | None) -> ObjectFile:
    """Return the module with a note about the update; as it is where it is of none."""
    if update is None:
        return module
    fixes = [[one.cves, one.objects, one.lacks] for one in update.fixes]
    text = json.dumps({"old": update.old, "new": update.new, "fixes": fixes})
    return notes.with_note(module, notes.NT_UPDATE, text.encode())


def parse_note(section: bytes, prefix: str = "=") -> Update | None:
    """Read the note among those of a section; None where there is none, or another's."""
    description = notes.description(section, notes.NT_UPDATE, prefix)
    if description is None:
        return None
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        found = json.loads(description)
        fixes = tuple(
            UpdateFix(tuple(map(str, cves)), tuple(map(str, objects)), str(lacks))
            for cves, objects, lacks in found["fixes"]
        )
        return Update(str(found["old"]), str(found["new"]), fixes)
    return None
