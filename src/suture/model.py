# SPDX-License-Identifier: GPL-2.0-or-later
"""The one patch format: what every front end produces and every later step takes.

The shapes follow ``include/linux/livepatch.h``: a `LivePatch` is a ``struct klp_patch``, a
`PatchedObject` a ``struct klp_object``, a `PatchedFunction` a ``struct klp_func``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

VMLINUX = "vmlinux"
"""The kernel's name for the core kernel where an object is asked for
(``kernel/livepatch/core.c``)."""

_LIVEPATCH_SYMBOL = re.compile(r"^\.klp\.sym\.([^.]+)\.(.+),(\d+)$")


@dataclass(frozen=True, slots=True)
class PatchedFunction:
    """One replaced function (``struct klp_func``).

    :ivar old_name: the function's name in kallsyms.
    :ivar sympos: 0 where the name is unique in the object, else its 1-based position among its
        namesakes.
    :ivar new_name: the symbol of the new code in the live patch module.
    :ivar source: the source file that the new code comes from, with a line where there is one, or
        "" where that is not known. The same live patch can come from different ones.
    """

    old_name: str
    sympos: int
    new_name: str
    source: str = field(default="", compare=False)


class CallbackKind(StrEnum):
    """``struct klp_callbacks``: when the core calls it."""

    PRE_PATCH = "pre_patch"
    POST_PATCH = "post_patch"
    PRE_UNPATCH = "pre_unpatch"
    POST_UNPATCH = "post_unpatch"


@dataclass(frozen=True, slots=True)
class Callback:
    kind: CallbackKind
    function: str


@dataclass(frozen=True, slots=True)
class ExternalSymbol:
    """A symbol the live patch refers to and may not link against; the core resolves it when
    `objname` is there.

    Written as ``.klp.sym.<objname>.<name>,<sympos>``
    (``Documentation/livepatch/module-elf-format.rst``).
    """

    objname: str
    name: str
    sympos: int

    @classmethod
    def parse(cls, symbol: str) -> ExternalSymbol | None:
        """The symbol that a livepatch symbol's name stands for; None for any other name."""
        parts = _LIVEPATCH_SYMBOL.match(symbol)
        return cls(parts[1], parts[2], int(parts[3])) if parts else None

    def __str__(self) -> str:
        return f".klp.sym.{self.objname}.{self.name},{self.sympos}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A symbol that new code uses and that only the core can resolve.

    :ivar objname: the object that has to be there for it.
    """

    objname: str
    symbol: ExternalSymbol


@dataclass(frozen=True, slots=True)
class ShadowVariable:
    """Data that the live patch attaches to objects of the kernel (``kernel/livepatch/shadow.c``).

    :ivar id: its number, by which other live patches find it; None where the code works it out when
        it runs.
    """

    id: int | None

    @classmethod
    def parse(cls, text: str) -> ShadowVariable | None:
        """What `str` gives; None for any other text."""
        if text == "?":
            return cls(None)
        return cls(int(text, 16)) if re.fullmatch("0x[0-9a-f]{1,16}", text) else None

    def __str__(self) -> str:
        return "?" if self.id is None else f"{self.id:#x}"


@dataclass(frozen=True, slots=True)
class PatchedObject:
    """What is replaced in one object: `VMLINUX` or a module (``struct klp_object``)."""

    name: str
    functions: tuple[PatchedFunction, ...]
    callbacks: tuple[Callback, ...] = ()


@dataclass(frozen=True, slots=True)
class LivePatch:
    """A whole live patch (``struct klp_patch``).

    :ivar replace: replaces every live patch that is loaded before it, atomically.
    :ivar shadow_variables: those that its code uses, by number.
    :ivar references: each once, sorted.
    """

    name: str
    objects: tuple[PatchedObject, ...]
    replace: bool = True
    shadow_variables: tuple[ShadowVariable, ...] = ()
    references: tuple[Reference, ...] = ()
