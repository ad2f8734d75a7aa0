# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way Suture refuses: a stable code, what was found and where, why, and the way out.

A `Kind` is one reason to refuse; the constants below are all there are, grouped by the room that raises them.
Code raises ``Refusal(KIND, where, found)``; the kind brings the reason and the remedy, which a caller replaces where
it knows better.  `str()` of a refusal is the form that the command line prints::

    error[init-function-changed]: fs/proc/meminfo.c: proc_meminfo_init() is in .init.text
      It ran once at boot and its memory is gone; no live patch can reach it.
      If the change also needs new state, set it up in a pre-patch callback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One reason to refuse.  `code` never changes once released; scripts match on it."""

    code: str
    why: str
    remedy: str


class Refusal(Exception):
    """Suture cannot do what was asked, and says why.

    :param kind: which reason; `kind.code` is the stable part.
    :param where: the file, function, package or command that it was found in.
    :param found: what was found there, one line.
    :param why: replaces the kind's reason.
    :param remedy: replaces the kind's way out.
    :param evidence: further lines to show (a compiler's message, two instructions side by side).
    """

    def __init__(
        self,
        kind: Kind,
        where: str,
        found: str,
        *,
        why: str | None = None,
        remedy: str | None = None,
        evidence: Sequence[str] = (),
    ) -> None:
        self.kind = kind
        self.where = where
        self.found = found
        self.why = kind.why if why is None else why
        self.remedy = kind.remedy if remedy is None else remedy
        self.evidence = tuple(evidence)
        super().__init__(f"{kind.code}: {where}: {found}")

    @property
    def code(self) -> str:
        return self.kind.code

    def __str__(self) -> str:
        body = [self.why, *(f"  {line}" for line in self.evidence), self.remedy]
        lines = [line for text in body for line in text.splitlines() if line.strip()]
        return "\n".join([f"error[{self.code}]: {self.where}: {self.found}", *(f"  {line}" for line in lines)])

    def as_dict(self) -> dict[str, object]:
        """The same for ``--json``."""
        return {
            "code": self.code,
            "where": self.where,
            "found": self.found,
            "why": self.why,
            "remedy": self.remedy,
            "evidence": list(self.evidence),
        }


# --- the host -----------------------------------------------------------------------------------------------------

TOOL_MISSING = Kind(
    "tool-missing",
    "A program that this step runs is not installed.",
    "Run 'suture doctor' for the list of what is missing and the command that installs it.",
)
DISK_FULL = Kind(
    "disk-full",
    "There is no space left to write to. What was half written has been removed.",
    "Free some space, or point XDG_CACHE_HOME at a larger file system, and run the same command again.",
)
COMMAND_FAILED = Kind(
    "command-failed",
    "A program that Suture ran ended with an error; its own message is shown.",
    "Mend what the message names and run the same command again.",
)
FILE_UNREADABLE = Kind(
    "file-unreadable",
    "The file is not there or may not be read.",
    "Check the path and its permissions.",
)
INTERRUPTED = Kind(
    "interrupted",
    "The work was stopped before its end; nothing half done was kept.",
    "Run the same command again: finished steps are not repeated.",
)

# --- elf ----------------------------------------------------------------------------------------------------------

OBJECT_MALFORMED = Kind(
    "object-malformed",
    "The file is damaged, cut off, or not an ELF object at all.",
    "Get or build the file again; 'readelf -a FILE' shows what is left of it.",
)
OBJECT_UNSUPPORTED = Kind(
    "object-unsupported",
    "The file is well-formed, but not the kind of object that live patches are made of.",
    "Give an x86-64 relocatable object (.o) or module (.ko).",
)

# --- diff ---------------------------------------------------------------------------------------------------------

RELOCATION_UNSUPPORTED = Kind(
    "relocation-unsupported",
    "Code with this kind of relocation cannot be moved into a live patch module.",
    "If the patch can do without the construct at that place, rewrite it; otherwise report the file and the type.",
)
SYMBOL_UNSUPPORTED = Kind(
    "symbol-unsupported",
    "The symbol is of a kind that a live patch cannot refer to.",
    "If the patch can do without it, rewrite it; otherwise report the file and the symbol.",
)
NO_CODE_CHANGE = Kind(
    "no-code-change",
    "The patch applies, but the code that the compiler makes of it is the same as before: there is nothing to replace.",
    "If the patch changes more than comments, check that it is meant for this kernel's configuration.",
)
INIT_FUNCTION_CHANGED = Kind(
    "init-function-changed",
    "It ran once, at boot or when its module was loaded, and its memory is gone; no live patch can reach it.",
    "Leave that part out. If the change needs new state, set it up in a pre-patch callback.",
)
FUNCTION_NOT_TRACEABLE = Kind(
    "function-not-traceable",
    "Live patching redirects a function through the fentry call at its start, and this function has none.",
    "Change a function that calls it instead, or move the change into one.",
)
DATA_CHANGED = Kind(
    "data-changed",
    "The kernel has had this data since boot; replacing code does not change what is in memory.",
    "Leave the initial value as it is, and set the new value from a pre-patch callback or where the code reads it.",
)
SECTION_CHANGED = Kind(
    "section-changed",
    "Entries of this section are read by the kernel at boot or module load, and Suture does not yet know how to carry "
    "a change in them into a live patch.",
    "Leave the part of the patch that adds, removes or changes such an entry out.",
)
AMBIGUOUS_LOCAL = Kind(
    "ambiguous-local",
    "Several static variables of one name could be meant, and taking the wrong one would share the wrong data.",
    "Give the new or moved variable a name of its own.",
)
ENTRY_MALFORMED = Kind(
    "entry-malformed",
    "The section's contents do not have the shape that the target's own headers give them.",
    "Check that source and configuration are the target's; with 'suture diff', give the right --entry-size.",
)
SPECIAL_REFERENCE_UNSUPPORTED = Kind(
    "special-reference-unsupported",
    "The kernel reads this entry when the live patch module is loaded, before the patched module's symbols can be "
    "resolved.",
    "Rewrite the changed code without it: static_key_enabled() for a static branch, a plain call for a static call.",
)
