# SPDX-License-Identifier: GPL-2.0-or-later
"""What one source file, or one author's module, contributes to a live patch module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePath
from typing import TYPE_CHECKING

from suture.diff.output import OutputObject
from suture.elf.object import ObjectFile
from suture.errors import Finding
from suture.link.glue import Variable
from suture.link.klp import ENTRY
from suture.model import LivePatch
from suture.verify.preimage import Match

if TYPE_CHECKING:
    from suture.formats.cmodule import CModule
    from suture.verify.replaced import Checked


@dataclass(frozen=True, slots=True)
class Cut:
    """An output object with the functions that it replaces.

    :ivar source: the file that the new code comes from, as the author knows it.
    :ivar functions: (old name, sympos) of each replaced function, in the order of
        `output.replaced`.
    :ivar data: variables that change in memory; `contents`: the object with their contents.
    :ivar of_input: `source` is an input file; its directory differs between machines.
    :ivar matches: the proof of each of `functions`; empty for code whose source is not at hand.
    """

    source: str
    output: OutputObject
    functions: tuple[tuple[str, int], ...]
    data: tuple[Variable, ...] = ()
    contents: ObjectFile | None = None
    of_input: bool = False
    matches: tuple[Match, ...] = ()

    @property
    def origin(self) -> str:
        """The source as the module names it, the same on every machine."""
        return PurePath(self.source).name if self.of_input else self.source


@dataclass(frozen=True, slots=True)
class Authored:
    """An author's module, ready to be linked with tables that Suture writes.

    :ivar objects: C file -> object, with a global name for each new function and callback.
    :ivar patch: what it replaces; functions and callbacks by those global names.
    :ivar wrappers: new functions that the glue defines: name -> C text.
    :ivar states: the global name of its table of states; "" where it has none.
    :ivar findings: the functions that it replaces and that idle tasks stay in.
    """

    module: CModule
    objects: Mapping[str, ObjectFile]
    patch: LivePatch
    checked: tuple[Checked, ...]
    wrappers: Mapping[str, str]
    states: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def entries(self) -> int:
        """How many numbered global names it has."""
        symbols = chain.from_iterable(obj.symbols for obj in self.objects.values())
        return sum(symbol.name.startswith(ENTRY) for symbol in symbols)

    @property
    def where(self) -> str:
        """The author's input, for messages."""
        return self.module.where
