# SPDX-License-Identifier: GPL-2.0-or-later
"""Values of planning: compared files, requests for more of them, and the plan of a patch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from suture.diff.changes import Changes
from suture.diff.plan import FilePlan
from suture.diff.users import Usage
from suture.objects.view import Unit
from suture.verify.addresses import Addresses
from suture.verify.callsites import Sites
from suture.verify.shipped import Shipped


@dataclass(frozen=True, slots=True)
class ComparedFile:
    """One source file, with the comparison of its original and its patched object.

    :ivar source: its path from the top of the tree.
    :ivar objname: the object that it is linked into.
    :ivar addresses: finds its functions and variables in the shipped kernel.
    :ivar users_before: the users of each function in the original object; `users_after`: in the
        patched one.
    :ivar patched_of: original unit -> patched unit.
    """

    source: str
    objname: str
    changes: Changes
    addresses: Addresses
    users_before: Usage
    users_after: Usage
    patched_of: Mapping[Unit, Unit]

    @classmethod
    def of(cls, source: str, objname: str, changes: Changes, addresses: Addresses) -> ComparedFile:
        """Prepare the look-ups that planning makes in the two objects."""
        pairs = changes.correlation.original.items()
        patched_of = {original: patched for patched, original in pairs}
        before, after = Usage(changes.original), Usage(changes.patched)
        return cls(source, objname, changes, addresses, before, after, patched_of)


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A compared file, and the plan for it."""

    file: ComparedFile
    plan: FilePlan


@dataclass(frozen=True, slots=True)
class CallerReplacement:
    """A function that is replaced although the patch does not change it.

    :ivar function: the replaced function, as its source file calls it.
    :ivar calls: the changed function that it calls, which has no fentry call.
    """

    objname: str
    source: str
    function: str
    calls: str


@dataclass(frozen=True, slots=True)
class PatchPlan:
    """The plan of a live patch for all of its source files.

    :ivar files: the changed files in their order, then files of callers.
    :ivar callers: the functions that are replaced because they call a changed one.
    :ivar notes: remarks for the author.
    """

    files: tuple[PlannedFile, ...]
    callers: tuple[CallerReplacement, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """C files that have to be compiled before planning can go on.

    :ivar objname: the object that they are linked into.
    :ivar words: names; each file mentions at least one of them.
    :ivar without: source files that are known already.
    """

    objname: str
    words: frozenset[str]
    without: frozenset[str] = field(default=frozenset(), compare=False)


Answers = Mapping[SourceRequest, Sequence[ComparedFile]]
"""The files that were compiled for each request, each with the same object on both sides."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Look-ups in the target that planning makes.

    :ivar shipped: returns an object of the kernel by name.
    :ivar importers: returns the modules that link with an exported symbol; None if it is not
        exported.
    :ivar sites: returns the places in an object that lead to an address.
    """

    shipped: Callable[[str], Shipped]
    importers: Callable[[str], Collection[str] | None]
    sites: Callable[[str, int], Sites]
