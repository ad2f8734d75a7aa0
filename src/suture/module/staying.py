# SPDX-License-Identifier: GPL-2.0-or-later
"""Marks of a live patch that stays in memory, in its module's file and in the running kernel.

A live patch that hands out addresses of its own (`suture.diff.escapes`) takes a reference to its
module when it has come into force, and the module cannot be unloaded until the reboot.  Its
``.modinfo`` has an entry ``livepatch_stays`` for each reason, and a note says the same to everyone
who looks at the running kernel (`suture.module.notes`).

The note also holds the name that the live patch was built with.  A module whose name is taken can
be loaded under another one, and is then still the same live patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suture.module import notes

if TYPE_CHECKING:
    from suture.elf.object import ObjectFile

NAME_SIZE = 56
"""Bytes of a module's name with its end (include/linux/moduleparam.h: MAX_PARAM_PREFIX_LEN, 64
bytes less a long)."""


@dataclass(frozen=True, slots=True)
class Staying:
    """What a live patch says of itself that stays in memory.

    :ivar name: the name that it was built with.
    :ivar reasons: the addresses that it hands out, each as a sentence without its end.
    """

    name: str
    reasons: tuple[str, ...]


def with_note(module: ObjectFile, staying: Staying) -> ObjectFile:
    """Return the module with a note that says that it stays."""
    texts = (staying.name, *staying.reasons)
    description = b"".join(text.encode() + b"\0" for text in texts)
    return notes.with_note(module, notes.NT_STAYS, description)


def of_module(module: ObjectFile) -> Staying | None:
    """Read the note of a module's file; None where it has none."""
    return parse(notes.contents(module), module.machine.prefix)


def parse(section: bytes, prefix: str = "=") -> Staying | None:
    """Read the note among those of a section; None where there is none.

    :param prefix: its byte order as `struct` has it; by default this host's.
    """
    description = notes.description(section, notes.NT_STAYS, prefix)
    texts = (description or b"").decode("utf-8", "replace").split("\0")
    return Staying(texts[0], tuple(texts[1:-1])) if len(texts) > 1 else None


def numbered(name: str, number: int) -> str:
    """Return a module's name with a number, shortened to fit into the kernel."""
    suffix = f"_{number}"
    return name[: NAME_SIZE - 1 - len(suffix)] + suffix


def first_of(reasons: Sequence[str], shown: int = 3) -> str:
    """Return the reasons as one text, shortened if there are many."""
    text = "; ".join(reasons[:shown])
    return f"{text}; and {len(reasons) - shown} more" if len(reasons) > shown else text
