# SPDX-License-Identifier: GPL-2.0-or-later
"""Output objects: only what changed, ready to link, and what of it lies outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from suture.diff.hooks import Stage
from suture.elf.object import ObjectFile
from suture.errors import MODULE_STATIC_KEY, Refusal
from suture.model import ExternalSymbol
from suture.objects.view import Unit


@dataclass(frozen=True, slots=True)
class Linked:
    """A symbol that a module may link against: exported by the core kernel, or provided by the live
    patch itself.

    :ivar is_new: the latter.
    """

    name: str
    is_new: bool = False


Outside = Linked | ExternalSymbol


class Resolver(Protocol):
    """Says how a live patch reaches what stays in the running kernel."""

    def defined(self, unit: Unit) -> Outside:
        """A unit of the original object."""

    def undefined(self, name: str) -> Outside:
        """A symbol that another object of the kernel defines."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """A function that is replaced.

    :ivar original: the function in the original object.
    :ivar symbol: index of the new code's symbol in the output object.
    """

    original: Unit
    symbol: int


@dataclass(frozen=True, slots=True)
class HookCall:
    """A function that the patch wants to be called.

    :ivar symbol: index of its symbol in the output object.
    """

    stage: Stage
    symbol: int


@dataclass(frozen=True, slots=True)
class OutputObject:
    """Only what changed, ready to link.

    :ivar objname: the object that the source file belongs to.
    :ivar replaced: the functions that it replaces.
    :ivar new: names of functions that are new or became functions of their own.
    :ivar outside: name of an undefined symbol in `obj` -> what it stands for.
    :ivar calls: what is to be called, in the order of `suture.diff.hooks.TABLE`.
    """

    objname: str
    obj: ObjectFile
    replaced: tuple[Replacement, ...]
    new: tuple[str, ...]
    outside: dict[str, Outside]
    calls: tuple[HookCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ModuleKeys:
    """The code cannot be cut out as it was compiled: static branches in it test keys of modules.

    The kernel rewrites the branches of a live patch when that is loaded.  A key of a module may
    come later, so the code has to be compiled again with branches that read their keys
    (`suture.diff.static_branches`).

    :ivar name: the patched object, for messages.
    :ivar entries: the entries in ``__jump_table``, in words.
    """

    name: str
    entries: tuple[str, ...]

    def refusal(self) -> Refusal:
        """The refusal where the code cannot be compiled again."""
        return Refusal(MODULE_STATIC_KEY, self.name, self.entries[0])
