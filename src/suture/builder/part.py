# SPDX-License-Identifier: GPL-2.0-or-later
"""What one source file, or one author's module, contributes to a live patch module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from suture.diff.output import OutputObject
from suture.elf.object import ObjectFile
from suture.formats.cmodule import CModule
from suture.link.glue import Variable
from suture.link.klp import ENTRY
from suture.model import LivePatch
from suture.verify.replaced import Checked


@dataclass(frozen=True, slots=True)
class Cut:
    """An output object, and what it replaces as the core is to be told: old name and sympos, in its
    order.

    :ivar source: what the new code comes from, as the author knows it.
    :ivar contents: the object with the contents of `data`, where there is any.
    :ivar of_input: `source` is an input, which is somewhere else for each builder.
    """

    source: str
    output: OutputObject
    functions: tuple[tuple[str, int], ...]
    data: tuple[Variable, ...] = ()
    contents: ObjectFile | None = None
    of_input: bool = False

    @property
    def origin(self) -> str:
        """The source as it may stand in the module."""
        return PurePath(self.source).name if self.of_input else self.source


@dataclass(frozen=True, slots=True)
class Authored:
    """An author's module taken apart, to be linked with tables that Suture writes.

    :ivar objects: with a global name for each new function and callback; C file -> object.
    :ivar patch: what it replaces; functions and callbacks by those global names.
    :ivar wrappers: new functions that the glue defines: name -> C.
    :ivar states: the global name of its table of states; "" where it has none.
    """

    module: CModule
    objects: Mapping[str, ObjectFile]
    patch: LivePatch
    checked: tuple[Checked, ...]
    wrappers: Mapping[str, str]
    states: str = ""

    @property
    def entries(self) -> int:
        """How many global names it uses up."""
        return sum(
            symbol.name.startswith(ENTRY) for obj in self.objects.values() for symbol in obj.symbols
        )

    @property
    def where(self) -> str:
        """The author's input."""
        return self.module.where
