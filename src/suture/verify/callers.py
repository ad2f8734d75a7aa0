# SPDX-License-Identifier: GPL-2.0-or-later
"""Replacement of the callers of changed functions that ftrace cannot redirect.

Some functions have no fentry call: the kernel's ``inline`` macro carries ``notrace``
(include/linux/compiler_types.h), and whole directories, as lib/, are built without.  If such a
function changes, its new code is carried in the live patch, and each of its callers is replaced by
the same code, compiled to call the new function:

1. Callers in the same file are known from the original object's relocations.
2. A global function can be called from anywhere in its object, and an exported one from other
   modules.  The shipped code is searched for the function's address (`suture.verify.callsites`),
   and each place has to be in a function that is compiled here and proved to be the shipped one.
3. A caller without an fentry call is carried too, and its callers are followed, within `Bounds`.

A use of the function's address cannot be followed, and is refused.
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
from suture.verify.kfuncs import listed_in
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

MakeRefusal = Callable[[str, str], Refusal]
"""Makes the refusal for callers that cannot be found, from the place and what was found."""


def caller_uncertain(where: str, found: str) -> Refusal:
    """Return the refusal of `plan_callers` for callers that cannot be found."""
    return Refusal(CALLER_UNCERTAIN, where, found)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far callers are followed.

    :ivar depth: the longest chain of callers up to one that can be redirected; 0 follows none.
    :ivar functions: how many functions may be replaced because of the functions that they call.
    """

    depth: int = 3
    functions: int = 32


DEFAULT_BOUNDS = Bounds()


def plan_callers(
    files: Sequence[ComparedFile], around: Surroundings, answers: Answers, bounds: Bounds
) -> PatchPlan | SourceRequest:
    """Plan to replace the callers of changed functions that ftrace cannot redirect.

    Example: ``udf_new_block()`` (fs/udf/balloc.c) is defined ``inline``, which carries ``notrace``,
    so it has no fentry call.  If a patch changes it, its callers are replaced by the same code and
    call the new one: ``udf_new_inode()`` (fs/udf/ialloc.c), ``udf_symlink()`` (fs/udf/namei.c),
    ``inode_getblk()`` (fs/udf/inode.c).  Otherwise they would go on calling the old function.

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
    make_refusal: MakeRefusal,
) -> list[Caller] | SourceRequest:
    """Find the callers of a global function in other files of its object.

    :param make_refusal: makes the refusal for callers that cannot be found.
    :return: the callers, or the files that have to be compiled first.
    :raises Refusal: what `make_refusal` returns, and what a proof raises
    """
    address = file.addresses.prove(function).address
    where = f"{file.source}: {function.name}()"
    search = _Search(files, around, answers, DEFAULT_BOUNDS, make_refusal)
    return search.callers_in(where, file.objname, address, function.names, (file, function))


@dataclass(slots=True)
class _Draft:
    """The plan of one file, which grows during the search."""

    file: ComparedFile
    plan: FilePlan
    replaced: set[Unit] = field(default_factory=set)
    carried: set[Unit] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A carried function; its callers have to be found.

    :ivar level: its distance in calls from a changed function.
    """

    draft: _Draft
    before: Unit
    after: Unit
    level: int


class _Search:
    """Follows the callers of each function that cannot be redirected, up to those that can."""

    def __init__(
        self,
        files: Sequence[ComparedFile],
        around: Surroundings,
        answers: Answers,
        bounds: Bounds,
        make_refusal: MakeRefusal = caller_uncertain,
    ) -> None:
        self._drafts: dict[str, _Draft] = {}
        self._replacements: list[CallerReplacement] = []
        self._notes: list[str] = []
        self._around = around
        self._answers = answers
        self._bounds = bounds
        self._make_refusal = make_refusal
        self._waiting: deque[_Waiting] = deque()
        for file in files:
            self._add(file)

    @property
    def _files(self) -> list[ComparedFile]:
        return [draft.file for draft in self._drafts.values()]

    def _add(self, file: ComparedFile) -> None:
        self._drafts[file.source] = _Draft(file, FilePlan.of(file.changes))

    def run(self) -> PatchPlan | SourceRequest:
        """Plan all files, or return the files that have to be compiled first."""
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
        return PatchPlan(files, tuple(self._replacements), tuple(self._notes))

    def _refuse_new_addresses(self) -> None:
        """Refuse new code of one file that uses the address of a carried function of another."""
        names: set[str] = set()
        for draft in self._drafts.values():
            for _, after in draft.plan.carried:
                names.update(after.names)
        for file in self._files:
            for name in names:
                where = f"{file.source}: {name}()"
                _refuse_address_uses(where, file.users_after.of(name), " in the patched code")

    def _carry(self, draft: _Draft, before: Unit, after: Unit, level: int) -> None:
        """Plan to carry a function, and to follow its callers.

        :raises Refusal: ``function-not-traceable``, ``callers-too-many``
        """
        source = draft.file.source
        where = f"{source}: {after.name}()"
        if level >= self._bounds.depth:
            if not self._bounds.depth:
                raise Refusal(FUNCTION_NOT_TRACEABLE, source, f"{after.name}() has no fentry call")
            callers = f"{level} caller{'s' if level > 1 else ''}"
            found = f"is {callers} above a changed function, and has no fentry call either"
            raise Refusal(CALLERS_TOO_MANY, where, found)
        if listed_in(draft.file.changes.original.view.obj, before.names):
            # bpf_key_put() (kernel/trace/bpf_trace.c), where nothing has fentry calls
            found = f"{after.name}() has no fentry call, and BPF programs call it"
            raise Refusal(FUNCTION_NOT_TRACEABLE, source, found)
        draft.plan = draft.plan.carrying(before, after)
        draft.carried.add(before)
        self._waiting.append(_Waiting(draft, before, after, level))

    def _follow(self, carried: _Waiting) -> SourceRequest | None:
        """Replace or carry every caller of a carried function."""
        file, function = carried.draft.file, carried.before
        where = f"{file.source}: {carried.after.name}()"
        address = file.addresses.prove(function).address
        _refuse_address_uses(where, file.users_before.of(function), "")
        _refuse_address_uses(where, file.users_after.of(carried.after), " in the patched code")
        callers = [(file, caller) for caller in file.users_before.of(function).callers]
        if not function.is_local:
            elsewhere = self._elsewhere(where, file, function, address)
            if isinstance(elsewhere, SourceRequest):
                return elsewhere
            callers += elsewhere
        for user, caller in callers:
            self._replace(self._drafts[user.source], caller, carried)
        if not callers:
            self._notes.append(f"{where} has no caller in {file.objname}")
        return None

    def _replace(self, draft: _Draft, caller: Unit, carried: _Waiting) -> None:
        """Replace a caller of a carried function; carry it if it has no fentry call either."""
        file, called = draft.file, f"{carried.after.name}()"
        where = f"{carried.draft.file.source}: {called}"
        if is_once_only(file.changes.original.view.section(caller)):
            self._leave_once_only(file, caller, where, called)
            return
        after = file.patched_of.get(caller)
        if after is None or caller in draft.replaced or caller in draft.carried:
            return
        replacement = CallerReplacement(file.objname, file.source, after.name, carried.after.name)
        self._replacements.append(replacement)
        if len(self._replacements) > self._bounds.functions:
            found = f"has more than {self._bounds.functions} callers that would have to be replaced"
            raise Refusal(CALLERS_TOO_MANY, where, found)
        if not is_hookable(file.changes.original, caller):
            self._carry(draft, caller, after, carried.level + 1)
            return
        draft.replaced.add(caller)
        draft.plan = draft.plan.replacing(caller, after)
        self._notes.append(
            f"{file.objname}: {after.name}() is replaced because it calls {called}, "
            "which has no fentry call"
        )

    def _leave_once_only(self, file: ComparedFile, caller: Unit, where: str, called: str) -> None:
        """Leave a caller that runs at boot, or when its module is loaded, as it is.

        The core kernel's ``__init`` functions have run.  A module's run whenever it is loaded; they
        have no new code and call the old function, which a note says.  Its ``__exit`` functions run
        when it is unloaded, after it may have worked with the new code for long; they are refused.

        :raises Refusal: ``caller-uncertain``
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
        names = function.names
        callers = self.callers_in(where, file.objname, address, names, (file, function))
        if isinstance(callers, SourceRequest):
            return callers
        for name in names:
            importers = self._around.importers(name)
            if importers is None:
                continue
            self._notes.append(
                f"{name}() is exported: a module that is not part of this kernel may still call "
                "the old code"
            )
            for objname in importers:
                place = _import_address(self._around.shipped(objname), name)
                importing = self.callers_in(where, objname, place, [name], None)
                if isinstance(importing, SourceRequest):
                    return importing
                callers += importing
        return callers

    def callers_in(
        self, where: str, objname: str, address: int, names: Sequence[str], own: Caller | None
    ) -> list[Caller] | SourceRequest:
        """Find all callers in one object, except those in the function's own file.

        Every place that leads to the address has to be explained by a function that is compiled
        here and proved to be the shipped one.  Files that mention the function are compiled first,
        as drivers/base/bus.c for ``kobject_synth_uevent()`` (lib/kobject_uevent.c).  A caller may
        not mention it: ``refcount_inc()`` of include/linux/refcount.h calls
        ``refcount_warn_saturate()`` (lib/refcount.c).  So files that mention a caller that the
        shipped code shows are compiled second.

        :param own: the function's file and the function, if this is its object.
        :raises Refusal: what `make_refusal` returns, and what a proof raises
        """
        shipped = self._around.shipped(objname)
        sites = self._around.sites(objname, address)
        if sites.address_uses:
            found = f"{sites.address_uses[0]} in {objname} uses its address"
            raise self._make_refusal(where, found)
        accounts = _CallAccounts(where, objname, names, sites.calls, shipped, self._make_refusal)
        if own is not None:
            file, function = own
            accounts.explain_own(file, [function, *file.users_before.of(function).callers])
        accounts.explain([file for file in self._files if not (own and file is own[0])])
        for by_name in (True, False):
            if not accounts.unexplained:
                break
            words = frozenset(names) if by_name else accounts.unexplained_callers()
            request = SourceRequest(objname, words, frozenset(self._drafts))
            if request not in self._answers:
                return request
            added = [
                file
                for file in self._answers[request]
                if file.source not in self._drafts
                and _callers_in_file(file, names, self._make_refusal)
            ]
            for file in added:
                self._add(file)
            accounts.explain(added)
        accounts.refuse_unexplained()
        return accounts.callers


class _CallAccounts:
    """The calls of a function in one object, and the compiled callers that explain them."""

    def __init__(
        self,
        where: str,
        objname: str,
        names: Sequence[str],
        calls: dict[int, int],
        shipped: Shipped,
        make_refusal: MakeRefusal,
    ) -> None:
        self.callers: list[Caller] = []
        self.unexplained = {at for field, at in calls.items() if not shipped.is_discarded(field)}
        self._where = where
        self._objname = objname
        self._names = names
        self._calls = frozenset(calls.values())
        self._shipped = shipped
        self._make_refusal = make_refusal

    def explain_own(self, file: ComparedFile, functions: Iterable[Unit]) -> None:
        """Explain calls by functions of the called function's own file."""
        self.unexplained -= _proved_addresses(file, functions)

    def explain(self, files: Iterable[ComparedFile]) -> None:
        """Explain calls by functions of other files, and add those to `callers`.

        :raises Refusal: what `make_refusal` returns where a file calls the function and the shipped
            code of the same caller does not
        """
        for file in files:
            if file.objname != self._objname:
                continue
            for caller in _callers_in_file(file, self._names, self._make_refusal):
                places = _proved_addresses(file, [caller])
                if places and not places & self._calls:
                    found = f"{caller.name}() calls it here, but not in {self._objname}"
                    raise self._make_refusal(self._where, found)
                self.unexplained -= places
                self.callers.append((file, caller))

    def unexplained_callers(self) -> frozenset[str]:
        """Return the names, as in the source, of shipped callers that were not compiled yet."""
        names: set[str] = set()
        for place in self.unexplained:
            names.update(base(parent(name)) for name in self._shipped.names(place))
        return frozenset(names)

    def refuse_unexplained(self) -> None:
        """Refuse calls that no source explains.

        :raises Refusal: what `make_refusal` returns
        """
        if not self.unexplained:
            return
        callers = sorted(
            next(iter(self._shipped.names(place)), f"{place:#x}") for place in self.unexplained
        )
        shown = ", ".join(list(dict.fromkeys(callers))[:4])
        found = f"is called by {shown} in {self._objname}, for which no C source was found"
        raise self._make_refusal(self._where, found)


def _callers_in_file(
    file: ComparedFile, names: Sequence[str], make_refusal: MakeRefusal
) -> list[Unit]:
    """Return the functions of another file that call one of these names."""
    callers: dict[Unit, None] = {}
    for name in names:
        users = file.users_before.of(name)
        patched = file.users_after.of(name)
        _refuse_address_uses(f"{file.source}: {name}()", users, "", make_refusal)
        _refuse_address_uses(
            f"{file.source}: {name}()", patched, " in the patched code", make_refusal
        )
        callers.update(dict.fromkeys(users.callers))
    return list(callers)


def _proved_addresses(file: ComparedFile, functions: Iterable[Unit]) -> set[int]:
    """Return the proved addresses of functions of a file and of their ``.cold`` parts."""
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


def _import_address(shipped: Shipped, name: str) -> int:
    """Return the address that `lay_out` gave to a symbol that a module imports."""
    assert isinstance(shipped, ShippedModule)
    return next(address for address, names in shipped.by_address.items() if name in names)


def _refuse_address_uses(
    where: str, users: Users, side: str, make_refusal: MakeRefusal = caller_uncertain
) -> None:
    if users.address_uses:
        raise make_refusal(where, f"{users.address_uses[0]}{side}")
