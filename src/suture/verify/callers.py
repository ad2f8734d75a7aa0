# SPDX-License-Identifier: GPL-2.0-or-later
"""Replace the callers of changed functions that the kernel cannot redirect.

Some functions have no fentry call although they are changed: the kernel's ``inline`` macro carries
``notrace`` (include/linux/compiler_types.h), and whole files are built without.  Such a function
becomes new code of the live patch, and everything that calls it is replaced by the same code, which
then calls the new one:

1. Callers in the same file are known from the original object's relocations.
2. A global function can be called from anywhere in its object, and an exported one from other
   modules.  The shipped code is searched for what leads to its address (`suture.verify.callsites`),
   and each place has to be in a function of a source file that is compiled here and proved to be
   the shipped one.
3. A caller that cannot be redirected either goes the same way, within `Bounds`.

Who uses the function by its address cannot be followed, and is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from suture.diff.changes import Changes, cold_part
from suture.diff.comparison import is_once_only
from suture.diff.users import Usage, Users, is_hookable
from suture.errors import CALLER_UNCERTAIN, CALLERS_TOO_MANY, FUNCTION_NOT_TRACEABLE, Refusal
from suture.host.progress import note
from suture.model import VMLINUX
from suture.objects.locals import base, parent
from suture.objects.view import Unit
from suture.verify.addresses import Addresses
from suture.verify.callsites import scan
from suture.verify.shipped import Shipped, ShippedModule


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far callers are followed.

    :ivar depth: how many callers may stand in a row up to one that can be redirected; 0 follows
        none.
    :ivar functions: how many functions may be replaced for that reason.
    """

    depth: int = 3
    functions: int = 32


DEFAULT_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Because:
    """Why a function is replaced that the patch does not change.

    :ivar function: what is replaced, as its source file calls it.
    :ivar calls: the function that it calls, which has no fentry call.
    """

    objname: str
    source: str
    function: str
    calls: str


@dataclass(slots=True)
class File:
    """One source file of the live patch.

    :ivar objname: the object that it is linked into.
    :ivar changes: what is to be replaced and carried in it; grows.
    """

    source: str
    objname: str
    changes: Changes
    addresses: Addresses
    replaced: set[Unit] = field(default_factory=set)
    carried: set[Unit] = field(default_factory=set)
    before: Usage = field(init=False)
    after: Usage = field(init=False)
    patched_of: dict[Unit, Unit] = field(init=False)

    def __post_init__(self) -> None:
        self.before, self.after = Usage(self.changes.original), Usage(self.changes.patched)
        self.patched_of = {
            original: patched for patched, original in self.changes.correlation.original.items()
        }


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the search asks of the target.

    :ivar shipped: gives an object of the kernel by name.
    :ivar importers: gives the modules that link with an exported symbol; None where it is not
        exported.
    :ivar candidates: compiles the files of an object (name) that mention one of these words,
        without those that are named last.
    """

    shipped: Callable[[str], Shipped]
    importers: Callable[[str], Collection[str] | None]
    candidates: Callable[[str, Collection[str], Collection[str]], Sequence[File]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    file: File
    before: Unit
    after: Unit
    level: int


def widen(
    files: Sequence[File], around: Surroundings, bounds: Bounds
) -> tuple[tuple[File, ...], tuple[Because, ...]]:
    """Let no changed function be without a way in.

    :return: the files, with the functions that have to be replaced besides, and why those are.
    :raises Refusal: ``function-not-traceable``, ``caller-uncertain``, ``callers-too-many``, and
        what a proof raises
    """
    search = _Search(files, around, bounds)
    search.run()
    return tuple(search.files), tuple(search.because)


def callers_elsewhere(
    files: Sequence[File], around: Surroundings, file: File, function: Unit
) -> list[tuple[File, Unit]]:
    """Who calls a global function from other files of its object; every place in the shipped code
    is accounted for.

    :raises Refusal: ``caller-uncertain``, and what a proof raises
    """
    address = file.addresses.prove(function).address
    where = f"{file.source}: {function.name}()"
    search = _Search(files, around, DEFAULT_BOUNDS)
    return search.in_object(where, file.objname, address, _names(function), (file, function))


class _Search:
    def __init__(self, files: Sequence[File], around: Surroundings, bounds: Bounds) -> None:
        self.files = list(files)
        self.because: list[Because] = []
        self._around = around
        self._bounds = bounds
        self._waiting: deque[_Waiting] = deque()

    def run(self) -> None:
        for file in self.files:
            for before, after in file.changes.changed:
                if is_hookable(file.changes.original, before):
                    file.replaced.add(before)
                else:
                    self._carry(file, before, after, 0)
        while self._waiting:
            self._follow(self._waiting.popleft())
        for (
            file
        ) in self.files:  # what the patch adds may take the address of a function in another file
            for name in {
                name
                for other in self.files
                for _, after in other.changes.carried
                for name in _names(after)
            }:
                _refuse_taken(
                    f"{file.source}: {name}()", file.after.of(name), " in the patched code"
                )

    def _carry(self, file: File, before: Unit, after: Unit, level: int) -> None:
        where = f"{file.source}: {after.name}()"
        if level >= self._bounds.depth:
            if not self._bounds.depth:
                raise Refusal(
                    FUNCTION_NOT_TRACEABLE, file.source, f"{after.name}() has no fentry call"
                )
            raise Refusal(CALLERS_TOO_MANY, where, f"has no fentry call either, {level} callers up")
        changes = file.changes
        published = tuple(pair for pair in changes.published if pair[0] != before)
        changed = tuple(pair for pair in changes.changed if pair[0] != before)
        provided = changes.provided if after.is_local else (*changes.provided, after)
        carried = (*changes.carried, (before, after))
        file.changes = replace(
            changes, changed=changed, provided=provided, published=published, carried=carried
        )
        file.carried.add(before)
        self._waiting.append(_Waiting(file, before, after, level))

    def _follow(self, one: _Waiting) -> None:
        file, function = one.file, one.before
        where = f"{file.source}: {one.after.name}()"
        address = file.addresses.prove(function).address
        _refuse_taken(where, file.before.of(function), "")
        _refuse_taken(where, file.after.of(one.after), " in the patched code")
        callers = [(file, caller) for caller in file.before.of(function).callers]
        if not function.is_local:
            names = _names(function)
            callers += self._elsewhere(where, file, function, address, names)
        for user, caller in callers:
            self._replace(user, caller, one)
        if not callers:
            note(f"{where} is called by nothing in {file.objname}")

    def _replace(self, file: File, caller: Unit, one: _Waiting) -> None:
        section = file.changes.original.view.section(caller)
        if is_once_only(section):
            if section.name.startswith(".exit.") and file.objname != VMLINUX:
                found = f"is called by {caller.name}(), which runs when {file.objname} is unloaded and is never traced"
                raise Refusal(CALLER_UNCERTAIN, f"{one.file.source}: {one.after.name}()", found)
            if file.objname != VMLINUX:
                note(
                    f"{caller.name}() calls {one.after.name}() when {file.objname} is loaded, "
                    "and will then run the old code"
                )
            return
        after = file.patched_of.get(caller)
        if after is None or caller in file.replaced or caller in file.carried:
            return
        self.because.append(Because(file.objname, file.source, after.name, one.after.name))
        if len(self.because) > self._bounds.functions:
            found = f"has more than {self._bounds.functions} callers that would have to be replaced"
            raise Refusal(CALLERS_TOO_MANY, f"{one.file.source}: {one.after.name}()", found)
        if not is_hookable(file.changes.original, caller):
            self._carry(file, caller, after, one.level + 1)
            return
        file.replaced.add(caller)
        file.changes = replace(file.changes, changed=(*file.changes.changed, (caller, after)))
        note(
            f"{file.objname}: {after.name}() is replaced, which calls {one.after.name}(), that has no fentry call"
        )

    # --- beyond the file

    def _elsewhere(
        self, where: str, file: File, function: Unit, address: int, names: Sequence[str]
    ) -> list[tuple[File, Unit]]:
        """The callers of a global function in other files."""
        found = self.in_object(where, file.objname, address, names, (file, function))
        for name in names:
            importers = self._around.importers(name)
            if importers is None:
                continue
            note(
                f"{name}() is exported: a module that is not part of this kernel may go on calling the old code"
            )
            for objname in importers:
                found += self.in_object(
                    where, objname, _import(self._around.shipped(objname), name), [name], None
                )
        return found

    def in_object(
        self,
        where: str,
        objname: str,
        address: int,
        names: Sequence[str],
        own: tuple[File, Unit] | None,
    ) -> list[tuple[File, Unit]]:
        """All callers in one object, the function's own file left out; every place that leads there
        is accounted for.

        :param own: the file of the function and itself, where this is its object.
        """
        shipped = self._around.shipped(objname)
        sites = scan(shipped, address)
        if sites.taken:
            raise Refusal(
                CALLER_UNCERTAIN, where, f"{sites.taken[0]} in {objname} uses its address"
            )
        open_places = {
            place for field, place in sites.calls.items() if not shipped.is_discarded(field)
        }
        if own is not None:
            file, function = own
            open_places -= _places(file, [function, *file.before.of(function).callers])
        found: list[tuple[File, Unit]] = []

        def account(files: Iterable[File]) -> None:
            for one in files:
                callers = (
                    _callers(one, names)
                    if one.objname == objname and not (own and one is own[0])
                    else []
                )
                for caller in callers:
                    places = _places(one, [caller])
                    if places and not places & set(sites.calls.values()):
                        raise Refusal(
                            CALLER_UNCERTAIN,
                            where,
                            f"{caller.name}() calls it here, but not in {objname}",
                        )
                    open_places.difference_update(places)
                    found.append((one, caller))

        account(self.files)
        for round in range(
            2
        ):  # who names the function, then who may have the callers (they call it through a macro)
            if open_places:
                within = {
                    base(parent(name)) for place in open_places for name in shipped.names(place)
                }
                known = {one.source for one in self.files}
                candidates = self._around.candidates(
                    objname, within if round else set(names), known
                )
                added = [
                    one for one in candidates if one.objname == objname and _callers(one, names)
                ]
                self.files += added
                account(added)
        if open_places:
            callers = sorted(
                {(list(shipped.names(place)) or [f"{place:#x}"])[0] for place in open_places}
            )
            found_there = f"is called by {', '.join(callers[:4])} in {objname}, for which no C source was found"
            raise Refusal(CALLER_UNCERTAIN, where, found_there)
        return found


def _names(function: Unit) -> tuple[str, ...]:
    return (function.name, *function.aliases)


def _callers(file: File, names: Sequence[str]) -> list[Unit]:
    """The functions of another file that call one of these names."""
    callers: dict[Unit, None] = {}
    for name in names:
        users = file.before.of(name)
        patched = file.after.of(name)
        _refuse_taken(f"{file.source}: {name}()", users, "")
        _refuse_taken(f"{file.source}: {name}()", patched, " in the patched code")
        callers.update(dict.fromkeys(users.callers))
    return list(callers)


def _places(file: File, functions: Iterable[Unit]) -> set[int]:
    """Where functions of a file, and their ``.cold`` parts, are proved to be."""
    places: set[int] = set()
    view = file.changes.original.view
    for function in functions:
        if is_once_only(view.section(function)):
            continue
        match = file.addresses.prove(function)
        places.add(match.address)
        cold = cold_part(view, function)
        if cold is not None and cold in match.units:
            places.add(match.units[cold])
    return places


def _import(shipped: Shipped, name: str) -> int:
    """Where a module that is laid out has its place for a symbol of another object."""
    assert isinstance(shipped, ShippedModule)
    return next(address for address, names in shipped.by_address.items() if name in names)


def _refuse_taken(where: str, users: Users, side: str) -> None:
    if users.taken:
        raise Refusal(CALLER_UNCERTAIN, where, f"{users.taken[0]}{side}")
