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

A use of its address cannot be followed, and is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from suture.diff.changes import cold_part
from suture.diff.comparison import is_once_only
from suture.diff.plan import FilePlan
from suture.diff.users import Users, is_hookable
from suture.errors import CALLER_UNCERTAIN, CALLERS_TOO_MANY, FUNCTION_NOT_TRACEABLE, Refusal
from suture.model import VMLINUX
from suture.objects.locals import base, parent
from suture.objects.view import Unit
from suture.verify.plan import (
    Answers,
    CallerReplacement,
    ComparedFile,
    PatchPlan,
    PlannedFile,
    SourceRequest,
    Surroundings,
)
from suture.verify.shipped import Shipped, ShippedModule

Caller = tuple[ComparedFile, Unit]
"""A function that calls another, and the file that it is in."""

Doubt = Callable[[str, str], Refusal]
"""Makes the refusal for callers that cannot be found: where, and what was found."""


def caller_uncertain(where: str, found: str) -> Refusal:
    """The refusal of a search for its own sake."""
    return Refusal(CALLER_UNCERTAIN, where, found)


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


def plan_callers(
    files: Sequence[ComparedFile], around: Surroundings, answers: Answers, bounds: Bounds
) -> PatchPlan | SourceRequest:
    """Plan to replace the callers of changed functions that ftrace cannot redirect.

    Example: the kernel's ``inline`` carries ``notrace``, so a changed ``tcp_in_initial_slowstart()``
    that GCC emits as a function of its own has no fentry call.  The core cannot redirect it;
    ``tcp_update_pacing_rate()``, which calls it, is replaced by the same code, and calls the new
    one.

    :param files: all changed files of the patch.
    :param answers: the files that earlier requests asked for.
    :return: the plan, or the files that have to be compiled first.
    :raises Refusal: ``function-not-traceable``, ``caller-uncertain``, ``callers-too-many``, and
        what a proof raises
    """
    return _Search(files, around, answers, bounds).run()


def callers_elsewhere(
    files: Sequence[ComparedFile],
    around: Surroundings,
    answers: Answers,
    file: ComparedFile,
    function: Unit,
    doubt: Doubt,
) -> list[Caller] | SourceRequest:
    """Find the callers of a global function in other files of its object.

    Every place in the shipped code that leads to the function is accounted for.

    :return: the callers, or the files that have to be compiled first.
    :raises Refusal: that of `doubt`, and what a proof raises
    """
    address = file.addresses.prove(function).address
    where = f"{file.source}: {function.name}()"
    search = _Search(files, around, answers, DEFAULT_BOUNDS, doubt)
    return search.in_object(where, file.objname, address, _names(function), (file, function))


@dataclass(slots=True)
class _Draft:
    """The plan of one file as the search goes on: `plan` is exchanged for one that holds more."""

    file: ComparedFile
    plan: FilePlan
    replaced: set[Unit] = field(default_factory=set)
    carried: set[Unit] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A carried function whose callers are to be looked for.

    :ivar level: how many functions that cannot be redirected stand between it and a changed one.
    """

    draft: _Draft
    before: Unit
    after: Unit
    level: int


class _Search:
    """Goes from each function that cannot be redirected to its callers, until all callers can."""

    def __init__(
        self,
        files: Sequence[ComparedFile],
        around: Surroundings,
        answers: Answers,
        bounds: Bounds,
        doubt: Doubt = caller_uncertain,
    ) -> None:
        self._drafts: dict[str, _Draft] = {}
        self._callers: list[CallerReplacement] = []
        self._notes: list[str] = []
        self._around = around
        self._answers = answers
        self._bounds = bounds
        self._doubt = doubt
        self._waiting: deque[_Waiting] = deque()
        for file in files:
            self._add(file)

    @property
    def _files(self) -> list[ComparedFile]:
        return [draft.file for draft in self._drafts.values()]

    def _add(self, file: ComparedFile) -> None:
        self._drafts[file.source] = _Draft(file, FilePlan.of(file.changes))

    def run(self) -> PatchPlan | SourceRequest:
        for draft in list(self._drafts.values()):
            for before, after in draft.file.changes.changed:
                if is_hookable(draft.file.changes.original, before):
                    draft.replaced.add(before)
                else:
                    self._carry(draft, before, after, 0)
        while self._waiting:
            if (request := self._follow(self._waiting.popleft())) is not None:
                return request
        self._refuse_new_addresses()
        files = tuple(PlannedFile(draft.file, draft.plan) for draft in self._drafts.values())
        return PatchPlan(files, tuple(self._callers), tuple(self._notes))

    def _refuse_new_addresses(self) -> None:
        """What the patch adds to one file may take the address of a carried function of another."""
        carried = [after for draft in self._drafts.values() for _, after in draft.plan.carried]
        names = {name for after in carried for name in _names(after)}
        for file in self._files:
            for name in names:
                _refuse_taken(
                    f"{file.source}: {name}()", file.after.of(name), " in the patched code"
                )

    def _carry(self, draft: _Draft, before: Unit, after: Unit, level: int) -> None:
        source = draft.file.source
        where = f"{source}: {after.name}()"
        if level >= self._bounds.depth:
            if not self._bounds.depth:
                raise Refusal(FUNCTION_NOT_TRACEABLE, source, f"{after.name}() has no fentry call")
            raise Refusal(CALLERS_TOO_MANY, where, f"has no fentry call either, {level} callers up")
        draft.plan = draft.plan.carrying(before, after)
        draft.carried.add(before)
        self._waiting.append(_Waiting(draft, before, after, level))

    def _follow(self, one: _Waiting) -> SourceRequest | None:
        """Replace or carry every caller of a carried function."""
        file, function = one.draft.file, one.before
        where = f"{file.source}: {one.after.name}()"
        address = file.addresses.prove(function).address
        _refuse_taken(where, file.before.of(function), "")
        _refuse_taken(where, file.after.of(one.after), " in the patched code")
        callers = [(file, caller) for caller in file.before.of(function).callers]
        if not function.is_local:
            elsewhere = self._elsewhere(where, file, function, address)
            if isinstance(elsewhere, SourceRequest):
                return elsewhere
            callers += elsewhere
        for user, caller in callers:
            self._replace(self._drafts[user.source], caller, one)
        if not callers:
            self._notes.append(f"{where} is called by nothing in {file.objname}")
        return None

    def _replace(self, draft: _Draft, caller: Unit, one: _Waiting) -> None:
        """Replace a caller, or carry it where it cannot be redirected either."""
        file, called = draft.file, f"{one.after.name}()"
        where = f"{one.draft.file.source}: {called}"
        if is_once_only(file.changes.original.view.section(caller)):
            self._leave_once_only(file, caller, where, called)
            return
        after = file.patched_of.get(caller)
        if after is None or caller in draft.replaced or caller in draft.carried:
            return
        replacement = CallerReplacement(file.objname, file.source, after.name, one.after.name)
        self._callers.append(replacement)
        if len(self._callers) > self._bounds.functions:
            found = f"has more than {self._bounds.functions} callers that would have to be replaced"
            raise Refusal(CALLERS_TOO_MANY, where, found)
        if not is_hookable(file.changes.original, caller):
            self._carry(draft, caller, after, one.level + 1)
            return
        draft.replaced.add(caller)
        draft.plan = draft.plan.replacing(caller, after)
        self._notes.append(
            f"{file.objname}: {after.name}() is replaced, which calls {called}, "
            "that has no fentry call"
        )

    def _leave_once_only(self, file: ComparedFile, caller: Unit, where: str, called: str) -> None:
        """Leave a caller that runs at boot, or when its module is loaded, as it is.

        The core kernel's has run.  A module's runs before its functions are redirected
        (kernel/module/main.c: prepare_coming_module()), and its ``__exit`` code after they no
        longer are.
        """
        if file.objname == VMLINUX:
            return
        if file.changes.original.view.section(caller).name.startswith(".exit."):
            found = (
                f"is called by {caller.name}(), which runs when {file.objname} is unloaded "
                "and is never traced"
            )
            raise Refusal(CALLER_UNCERTAIN, where, found)
        self._notes.append(
            f"{caller.name}() calls {called} when {file.objname} is loaded, "
            "and will then run the old code"
        )

    # --- beyond the file

    def _elsewhere(
        self, where: str, file: ComparedFile, function: Unit, address: int
    ) -> list[Caller] | SourceRequest:
        """Find the callers of a global function in other files, and of an exported one in other
        modules."""
        names = _names(function)
        found = self.in_object(where, file.objname, address, names, (file, function))
        if isinstance(found, SourceRequest):
            return found
        for name in names:
            importers = self._around.importers(name)
            if importers is None:
                continue
            self._notes.append(
                f"{name}() is exported: a module that is not part of this kernel may go on calling "
                "the old code"
            )
            for objname in importers:
                place = _import(self._around.shipped(objname), name)
                more = self.in_object(where, objname, place, [name], None)
                if isinstance(more, SourceRequest):
                    return more
                found += more
        return found

    def in_object(
        self, where: str, objname: str, address: int, names: Sequence[str], own: Caller | None
    ) -> list[Caller] | SourceRequest:
        """Find all callers in one object, the function's own file left out.

        Every place that leads to the address is accounted for: each is in a function that was
        compiled here and proved to be the shipped one.  Example: ``__free_one_page()`` is called in
        ``mm/page_alloc.c`` by name; a caller that reaches a function through a macro of a header
        does not mention it, so files that mention the callers' own names are looked at second.

        :param own: the file of the function and itself, where this is its object.
        """
        shipped = self._around.shipped(objname)
        sites = self._around.sites(objname, address)
        if sites.taken:
            raise self._doubt(where, f"{sites.taken[0]} in {objname} uses its address")
        accounts = _Accounts(where, objname, names, sites.calls, shipped, self._doubt)
        if own is not None:
            file, function = own
            accounts.own(file, [function, *file.before.of(function).callers])
        accounts.account([file for file in self._files if not (own and file is own[0])])
        for by_name in (True, False):
            if not accounts.open:
                break
            words = frozenset(names) if by_name else accounts.open_functions()
            request = SourceRequest(objname, words, frozenset(self._drafts))
            if request not in self._answers:
                return request
            added = [
                file
                for file in self._answers[request]
                if file.source not in self._drafts and _callers(file, names, self._doubt)
            ]
            for file in added:
                self._add(file)
            accounts.account(added)
        accounts.refuse_open()
        return accounts.callers


class _Accounts:
    """The places in one object that lead to a function, and the callers that account for them."""

    def __init__(
        self,
        where: str,
        objname: str,
        names: Sequence[str],
        calls: dict[int, int],
        shipped: Shipped,
        doubt: Doubt,
    ) -> None:
        self.callers: list[Caller] = []
        self.open = {at for field, at in calls.items() if not shipped.is_discarded(field)}
        self._where = where
        self._objname = objname
        self._names = names
        self._calls = frozenset(calls.values())
        self._shipped = shipped
        self._doubt = doubt

    def own(self, file: ComparedFile, functions: Iterable[Unit]) -> None:
        """Account for calls from the function's own file."""
        self.open -= _places(file, functions)

    def account(self, files: Iterable[ComparedFile]) -> None:
        """Account for calls from other files.

        :raises Refusal: ``caller-uncertain`` where a file calls the function and the shipped object
            does not
        """
        for file in files:
            if file.objname != self._objname:
                continue
            for caller in _callers(file, self._names, self._doubt):
                places = _places(file, [caller])
                if places and not places & self._calls:
                    found = f"{caller.name}() calls it here, but not in {self._objname}"
                    raise self._doubt(self._where, found)
                self.open -= places
                self.callers.append((file, caller))

    def open_functions(self) -> frozenset[str]:
        """The names, as in the source, of functions that call it and were not compiled yet."""
        names = (name for place in self.open for name in self._shipped.names(place))
        return frozenset(base(parent(name)) for name in names)

    def refuse_open(self) -> None:
        """Refuse what no source accounts for.

        :raises Refusal: ``caller-uncertain``
        """
        if not self.open:
            return
        callers = sorted(
            (list(self._shipped.names(place)) or [f"{place:#x}"])[0] for place in self.open
        )
        shown = ", ".join(list(dict.fromkeys(callers))[:4])
        found = f"is called by {shown} in {self._objname}, for which no C source was found"
        raise self._doubt(self._where, found)


def _names(function: Unit) -> tuple[str, ...]:
    return (function.name, *function.aliases)


def _callers(file: ComparedFile, names: Sequence[str], doubt: Doubt) -> list[Unit]:
    """The functions of another file that call one of these names."""
    callers: dict[Unit, None] = {}
    for name in names:
        users = file.before.of(name)
        patched = file.after.of(name)
        _refuse_taken(f"{file.source}: {name}()", users, "", doubt)
        _refuse_taken(f"{file.source}: {name}()", patched, " in the patched code", doubt)
        callers.update(dict.fromkeys(users.callers))
    return list(callers)


def _places(file: ComparedFile, functions: Iterable[Unit]) -> set[int]:
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


def _refuse_taken(where: str, users: Users, side: str, doubt: Doubt = caller_uncertain) -> None:
    if users.taken:
        raise doubt(where, f"{users.taken[0]}{side}")
