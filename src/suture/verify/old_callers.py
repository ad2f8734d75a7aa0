# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether everything that calls a function of another prototype knows the new one.

A compiler and a linker see to that where they build a whole kernel.  A live patch replaces some of
the code:

1. An exported function is called by modules that were compiled with the old prototype, also by some
   that nobody here has ever seen (``CONFIG_MODVERSIONS`` would keep them from being loaded with a
   kernel of the new one).
2. Any other global function is called within its object only.  Its callers are found in the shipped
   code, and the source file of each, as the patch leaves it, has to declare the function as it now
   is: a file may have a declaration of its own, which the patch forgot.

A function whose code stays is fit for its old callers, whatever its prototype says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from suture.elf.prototypes import Prototype
from suture.errors import EXPORTED_PROTOTYPE_CHANGED, PROTOTYPE_CHANGED, Refusal
from suture.objects.view import Unit
from suture.verify.callers import Caller, callers_elsewhere
from suture.verify.plan import Answers, ComparedFile, SourceRequest, Surroundings

Prototypes = Mapping[str, Prototype]
"""Name of a function -> the prototype that a source file declares it with."""


@dataclass(frozen=True, slots=True)
class ChangedPrototype:
    """A global function that changes, and whose old callers cannot call its new code.

    :ivar found: the old and the new prototype, in words.
    """

    file: ComparedFile
    before: Unit
    now: Prototype
    where: str
    found: str


def functions_to_declare(file: ComparedFile) -> frozenset[str]:
    """The names of the global functions that change in a file: their prototypes are compared."""
    functions = [pair for pair in file.changes.changed if not pair[0].is_local]
    return frozenset(name for pair in functions for unit in pair for name in _names(unit))


def changed_prototypes(
    file: ComparedFile, old: Prototypes, new: Prototypes, exported: Callable[[str], bool]
) -> list[ChangedPrototype]:
    """The changed global functions of a file whose new prototype does not serve old callers.

    Example: an argument that is added to ``vfs_statx()``; every caller has to pass it.  An argument
    whose type becomes a typedef of the same type changes nothing.

    :param old: what the file declares; `new`: what it declares with the patch.
    :param exported: says whether a symbol is exported.
    :raises Refusal: ``exported-prototype-changed``
    """
    changed = []
    for before, after in file.changes.changed:
        if before.is_local:
            continue
        called, now = _first(old, before), _first(new, after)
        if called is None or now is None or now.serves(called):
            continue
        where, found = f"{file.source}: {after.name}()", f"was {called} and becomes {now}"
        if any(exported(name) for name in _names(before)):
            raise Refusal(EXPORTED_PROTOTYPE_CHANGED, where, found)
        changed.append(ChangedPrototype(file, before, now, where, found))
    return changed


def callers_of(
    changed: ChangedPrototype,
    files: Sequence[ComparedFile],
    around: Surroundings,
    answers: Answers,
) -> list[Caller] | SourceRequest:
    """The callers of such a function in other files, or the files to compile first.

    :raises Refusal: ``prototype-changed`` where a caller cannot be found, and what a proof raises
    """

    def unknown_callers(_: str, found: str) -> Refusal:
        return Refusal(PROTOTYPE_CHANGED, changed.where, changed.found, evidence=[found])

    file, function = changed.file, changed.before
    return callers_elsewhere(files, around, answers, file, function, unknown_callers)


def refuse_old_callers(
    changed: ChangedPrototype,
    callers: Collection[Caller],
    declared: Callable[[str, Collection[str]], Prototypes],
) -> None:
    """Refuse a function that a caller still calls by its old prototype.

    :param declared: returns what a source file declares with the patch: source, names.
    :raises Refusal: ``prototype-changed``
    """
    for source, caller in sorted({(user.source, caller.name) for user, caller in callers}):
        known = _first(declared(source, _names(changed.before)), changed.before)
        if known is None or not changed.now.serves(known):
            calls_it = known or "something that it does not declare"
            evidence = f"{caller}() in {source} calls it as {calls_it}"
            raise Refusal(PROTOTYPE_CHANGED, changed.where, changed.found, evidence=[evidence])


def _names(function: Unit) -> tuple[str, ...]:
    return (function.name, *function.aliases)


def _first(known: Mapping[str, Prototype], function: Unit) -> Prototype | None:
    return next((known[name] for name in _names(function) if name in known), None)
