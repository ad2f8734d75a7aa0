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

from suture.elf.prototypes import Prototype
from suture.errors import CALLER_UNCERTAIN, EXPORTED_PROTOTYPE_CHANGED, PROTOTYPE_CHANGED, Refusal
from suture.objects.view import Unit
from suture.verify.callers import File, Surroundings, callers_elsewhere

Declared = Callable[[str, Collection[str], bool], Mapping[str, Prototype]]
"""Source file, names of functions, and whether as the patch leaves it -> the prototypes that it has
for them."""


def refuse_changed_prototypes(
    files: Sequence[File], around: Surroundings, exported: Callable[[str], bool], declared: Declared
) -> None:
    """:raises Refusal: ``exported-prototype-changed``, ``prototype-changed``, and what a proof
    raises"""
    for file in files:
        functions = [
            (before, after) for before, after in file.changes.changed if not before.is_local
        ]
        names = {name for before, after in functions for name in (*_names(before), *_names(after))}
        if not names:
            continue
        old, new = declared(file.source, names, False), declared(file.source, names, True)
        for before, after in functions:
            called, now = _first(old, before), _first(new, after)
            if called is None or now is None or now.serves(called):
                continue
            where, found = f"{file.source}: {after.name}()", f"was {called} and becomes {now}"
            if any(exported(name) for name in _names(before)):
                raise Refusal(EXPORTED_PROTOTYPE_CHANGED, where, found)
            _refuse_old_callers(files, around, declared, (file, before, now, where, found))


def _refuse_old_callers(
    files: Sequence[File],
    around: Surroundings,
    declared: Declared,
    changed: tuple[File, Unit, Prototype, str, str],
) -> None:
    file, function, now, where, found = changed
    try:
        callers = callers_elsewhere(files, around, file, function)
    except Refusal as refusal:
        if refusal.kind is not CALLER_UNCERTAIN:
            raise
        raise Refusal(PROTOTYPE_CHANGED, where, found, evidence=[refusal.found]) from refusal
    for source, caller in sorted({(user.source, caller.name) for user, caller in callers}):
        known = _first(declared(source, _names(function), True), function)
        if known is None or not now.serves(known):
            evidence = f"{caller}() in {source} calls it as {known or 'something that it does not declare'}"
            raise Refusal(PROTOTYPE_CHANGED, where, found, evidence=[evidence])


def _names(function: Unit) -> tuple[str, ...]:
    return (function.name, *function.aliases)


def _first(known: Mapping[str, Prototype], function: Unit) -> Prototype | None:
    return next((known[name] for name in _names(function) if name in known), None)
