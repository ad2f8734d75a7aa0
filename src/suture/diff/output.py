# SPDX-License-Identifier: GPL-2.0-or-later
"""Output objects: changed code ready to link, and the symbols that it needs from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from suture.diff.hooks import Stage
from suture.elf.object import ObjectFile
from suture.errors import MODULE_STATIC_KEY, Refusal
from suture.model import ExternalSymbol
from suture.objects.view import Unit

ENTRY = "livepatch_function_"
"""Begins the global names by which the glue refers to new code; the functions also keep their own
names."""

AUTHORS = "livepatch_authors_"
"""Begins the global names of authors' init functions, exit functions and tables of states."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A symbol that a module may link against.

    :ivar is_new: the live patch itself defines it; otherwise the core kernel exports it.
    """

    name: str
    is_new: bool = False


Outside = Linked | ExternalSymbol


def symbol_name(outside: Outside, objname: str) -> str:
    """Return the name of the undefined symbol by which an output object means something outside.

    :param objname: the object that is patched; `suture.link.klp.finish` makes a livepatch symbol of
        ``<objname>:.klp.sym....``.
    """
    return outside.name if isinstance(outside, Linked) else outside.pending(objname)


class Resolver(Protocol):
    """Finds the functions and variables that stay in the running kernel."""

    def defined(self, unit: Unit) -> Outside:
        """Return the symbol for a unit of the original object."""

    def undefined(self, name: str) -> Outside:
        """Return the symbol for a name that another object of the kernel defines."""


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
    """Changed code, ready to link.

    :ivar objname: the object that the source file belongs to.
    :ivar replaced: the functions that it replaces.
    :ivar new: names of functions that are new or became functions of their own.
    :ivar outside: name of an undefined symbol in `obj` -> what it stands for.
    :ivar calls: functions to call, in the order of `suture.diff.hooks.TABLE`.
    :ivar pointed: new functions and variables to which variables that change in memory point, each
        with the index of its symbol.
    """

    objname: str
    obj: ObjectFile
    replaced: tuple[Replacement, ...]
    new: tuple[str, ...]
    outside: dict[str, Outside]
    calls: tuple[HookCall, ...] = ()
    pointed: tuple[tuple[Unit, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ModuleKeys:
    """Static branches on keys of modules, because of which code cannot be cut out as compiled.

    The kernel rewrites the branches of a live patch when the live patch is loaded.  The module with
    the key may be loaded later, so the code has to be compiled again with branches that read their
    keys (`suture.diff.static_branches`).  Example: ``nft_do_chain()`` tests
    ``nft_counters_enabled`` of ``nf_tables.ko``.

    :ivar name: the patched object, for messages.
    :ivar entries: the entries in ``__jump_table``, in words.
    """

    name: str
    entries: tuple[str, ...]

    def refusal(self) -> Refusal:
        """Return the refusal for code that cannot be compiled again."""
        return Refusal(MODULE_STATIC_KEY, self.name, self.entries[0])
