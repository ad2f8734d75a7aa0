# SPDX-License-Identifier: GPL-2.0-or-later
"""What one source file contributes to a live patch module."""

from __future__ import annotations

from dataclasses import dataclass

from suture.diff.select import OutputObject
from suture.elf.object import ObjectFile
from suture.link.glue import Variable


@dataclass(frozen=True, slots=True)
class Cut:
    """An output object, and what it replaces as the core is to be told: old name and sympos, in its order.

    :ivar contents: the object with the contents of `data`, where there is any.
    """

    source: str
    output: OutputObject
    functions: tuple[tuple[str, int], ...]
    data: tuple[Variable, ...] = ()
    contents: ObjectFile | None = None
