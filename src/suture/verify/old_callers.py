# SPDX-License-Identifier: GPL-2.0-or-later
"""Callers of functions with a changed prototype: each has to know the new one.

In a whole kernel, compiler and linker check that.  A live patch replaces only some of the code:

1. An exported function is called by modules that were compiled with the old prototype, even by
   modules that are not part of this kernel (``CONFIG_MODVERSIONS`` would refuse to load them into a
   kernel with the new one).
2. A kfunc is called by BPF programs that the verifier has checked by the old prototype
   (`suture.verify.kfuncs`).
3. Any other global function is only called within its object.  Its callers are found in the shipped
   code, and the source file of each, as the patch leaves it, has to declare the new prototype: a
   file may have a declaration of its own, which the patch forgot.
4. Any function of a module may be called by the module's ``__init`` and ``__exit`` code, which
   stays as it is (`suture.verify.kept_callers`).

Old callers can still call a function with unchanged code, whatever its prototype says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from suture.elf.prototypes import Prototype
from suture.errors import (
    EXPORTED_PROTOTYPE_CHANGED,
    FUNCTION_RENAMED,
    KFUNC_PROTOTYPE_CHANGED,
    PROTOTYPE_CHANGED,
    Finding,
    Kind,
    Refusal,
)
from suture.objects.locals import base
from suture.objects.view import Unit
from suture.verify.callers import Caller, callers_elsewhere
from suture.verify.kept_callers import (
    KEPT_REMEDY,
    KEPT_WHY,
    kept_callers,
    runs_old_code,
    stays_as_it_is,
)
from suture.verify.kfuncs import listed_in
from suture.verify.plan import Answers, ComparedFile, SourceRequest, Surroundings

MOST_SHOWN = 4
"""How many callers a finding names."""

Prototypes = Mapping[str, Prototype]
"""Name of a function -> its prototype as a source file declares it."""


@dataclass(frozen=True, slots=True)
class ChangedPrototype:
    """A changed function that callers compiled with the old prototype cannot call.

    :ivar now: the new prototype; `after`: the function in the patched object.
    :ivar found: the old and the new prototype, in words.
    """

    file: ComparedFile
    before: Unit
    after: Unit
    now: Prototype
    where: str
    found: str

    def finding(self, kind: Kind, *evidence: str) -> Finding:
        """Return a finding about the function."""
        return Finding(kind, base(self.after.name), self.where, self.found, evidence)

    def kept(self, evidence: Sequence[str]) -> Finding:
        """Return the finding about a function that code calls which stays as it is."""
        found = self.finding(PROTOTYPE_CHANGED, *evidence)
        return replace(found, why=KEPT_WHY, remedy=KEPT_REMEDY)


@dataclass(frozen=True, slots=True)
class Callers:
    """The callers of a function in other files of its object.

    :ivar lost: what keeps one from being found; "" where all are known.
    """

    known: tuple[Caller, ...] = ()
    lost: str = ""


def functions_to_declare(file: ComparedFile) -> frozenset[str]:
    """Return the names of a file's changed functions whose prototypes are compared: of global ones,
    of those that code which stays calls, of those that BPF programs call, and of those that the
    patch renames."""
    names: set[str] = set()
    called = kept_callers(file)
    for before, after in file.changes.changed:
        stays = before in called or listed_in(file.changes.original.view.obj, before.names)
        if not before.is_local or stays or is_renamed(before, after):
            names.update(map(base, (*before.names, *after.names)))
    return frozenset(names)


def is_renamed(before: Unit, after: Unit) -> bool:
    """Whether the source calls a function by another name than before."""
    return {base(name) for name in before.names}.isdisjoint(map(base, after.names))


def changed_prototypes(
    file: ComparedFile, old: Prototypes, new: Prototypes
) -> list[ChangedPrototype]:
    """Return a file's changed functions that old callers cannot call any more.

    Example: a patch adds an argument to ``do_statx()`` (fs/stat.c), which ``io_statx()``
    (io_uring/statx.c) calls too.  Without new code, that caller would leave the argument's register
    unset.  If the type of an argument becomes a typedef of the same type, old callers still fit.

    :param old: what the file declares; `new`: what it declares with the patch.
    """
    changed = []
    for before, after in file.changes.changed:
        called, now = _first(old, before), _first(new, after)
        if called is None or now is None or now.serves(called):
            continue
        where, found = f"{file.source}: {base(after.name)}()", f"was {called} and becomes {now}"
        if is_renamed(before, after):
            found = f"{before.name}() {found}, as {after.name}()"
        changed.append(ChangedPrototype(file, before, after, now, where, found))
    return changed


def unknown_callers(
    changed: ChangedPrototype,
    exported: Callable[[str], bool],
    is_kfunc: Callable[[str], bool],
) -> Iterator[Finding]:
    """Find out whether code calls the function that nobody can search: modules from outside this
    kernel, BPF programs, and whatever holds the address of a function under its old name
    (``exported-prototype-changed``, ``kfunc-prototype-changed``, ``function-renamed``).

    :param exported: says whether a symbol is exported.
    :param is_kfunc: says whether BPF programs call a function of the file's object.
    """
    before = changed.before
    if is_renamed(before, changed.after):
        yield changed.finding(FUNCTION_RENAMED)
    if not before.is_local and any(exported(name) for name in before.names):
        yield changed.finding(EXPORTED_PROTOTYPE_CHANGED)
    obj = changed.file.changes.original.view.obj
    if listed_in(obj, before.names) or any(is_kfunc(name) for name in before.names):
        yield changed.finding(KFUNC_PROTOTYPE_CHANGED)


def callers_of(
    changed: ChangedPrototype,
    files: Sequence[ComparedFile],
    around: Surroundings,
    answers: Answers,
) -> Callers | SourceRequest:
    """Return the callers of a global function in other files, or the files to compile first.

    :raises Refusal: what a proof raises
    """
    lost: list[str] = []

    def lost_caller(_: str, found: str) -> Refusal:
        """Return the refusal that ends the search where a caller cannot be found."""
        lost.append(found)
        return changed.finding(PROTOTYPE_CHANGED, found).refusal()

    file, function = changed.file, changed.before
    if function.is_local:
        return Callers()
    try:
        found = callers_elsewhere(files, around, answers, file, function, lost_caller)
    except Refusal:
        if not lost:
            raise
        return Callers(lost=lost[0])
    return found if isinstance(found, SourceRequest) else Callers(tuple(found))


def old_callers(
    changed: ChangedPrototype,
    callers: Callers,
    declared: Callable[[str, Collection[str]], Prototypes],
) -> Finding | None:
    """Find callers that still call a function by its old prototype (``prototype-changed``).

    :param callers: the callers in other files.
    :param declared: returns what a source file declares with the patch: source, names.
    """
    if callers.lost:
        return changed.finding(PROTOTYPE_CHANGED, callers.lost)
    own = kept_callers(changed.file).get(changed.before, ())
    kept = [(changed.file, caller) for caller in own]
    kept += [(user, caller) for user, caller in callers.known if runs_old_code(user, caller)]
    if kept:
        return changed.kept([stays_as_it_is(user, caller) for user, caller in kept])
    calls = []
    for source, caller in sorted({(user.source, caller.name) for user, caller in callers.known}):
        known = _first(declared(source, changed.before.names), changed.before)
        if known is None or not changed.now.serves(known):
            calls_it = known or "something that it does not declare"
            calls.append(f"{caller}() in {source} calls it as {calls_it}")
            if len(calls) == MOST_SHOWN:
                break
    return changed.finding(PROTOTYPE_CHANGED, *calls) if calls else None


def _first(known: Mapping[str, Prototype], function: Unit) -> Prototype | None:
    """Return the prototype that is declared for one of a function's names."""
    return next((known[name] for name in map(base, function.names) if name in known), None)
