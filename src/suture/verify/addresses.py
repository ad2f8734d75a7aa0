# SPDX-License-Identifier: GPL-2.0-or-later
"""Proved addresses of the functions and variables of one source file in the shipped kernel.

A unique name in the kernel's symbol table proves nothing: the code has to match as well.  Of
several symbols with one name, the code selects the right one (`preimage`): the function's own
bytes, or the linked fields of proved functions in the same file that use it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container
from functools import cached_property

from suture.elf.object import STB_WEAK
from suture.errors import (
    FUNCTION_NOT_IN_KERNEL,
    PRE_IMAGE_MISMATCH,
    SYMBOL_AMBIGUOUS,
    SYMBOL_NOT_FOUND,
    Refusal,
)
from suture.objects.locals import base, is_cold, is_numbered
from suture.objects.view import ToUnit, Unit, View
from suture.verify.preimage import Match, Mismatch, match_at, match_data
from suture.verify.shipped import Shipped

OVERRIDDEN = "is a weak function, and this kernel has another of that name in its place"


class Addresses:
    """Finds the units of one original object in the shipped kernel.

    :param view: the original object.
    :param shipped: the object of the kernel that the file is built into.
    """

    def __init__(self, view: View, shipped: Shipped) -> None:
        self.view = view
        self.shipped = shipped
        self._matches: dict[Unit, Match | None] = {}
        self._known: dict[Unit, int] = {}
        self._undefined: dict[str, int] = {}

    def prove(self, function: Unit) -> Match:
        """Find a function, and prove that the shipped code is the same.

        Example: 17 functions of a 6.1 kernel are named ``type_show``.  Each is compared with the
        compiled one.  If several are equal to the byte, a proved function of the same file that
        refers to one of them decides.

        :raises Refusal: ``function-not-in-kernel``, ``pre-image-mismatch``, ``symbol-ambiguous``
        """
        match = self._find_function(function)
        if isinstance(match, Refusal):
            raise match
        return match

    def _find_function(self, function: Unit) -> Match | Refusal:
        """Return what `prove` returns, or the refusal that it raises."""
        where = f"{self.view.obj.name}: {function.name}()"
        candidates = self._candidates(function)
        if not candidates:
            found = f"{self.shipped.objname} has no function of that name"
            return Refusal(FUNCTION_NOT_IN_KERNEL, where, found)
        if self._is_weak(function):
            candidates = self._weak_ones(function, candidates)
            if not candidates:
                return Refusal(FUNCTION_NOT_IN_KERNEL, where, OVERRIDDEN)
        results = [match_at(self.view, function, self.shipped, address) for address in candidates]
        matches = [result for result in results if isinstance(result, Match)]
        if not matches:
            return self._mismatch(where, function, [r for r in results if isinstance(r, Mismatch)])
        if len(matches) > 1:
            address = self._from_users(function)
            matches = [match for match in matches if match.address == address]
        if len(matches) != 1:
            count = sum(isinstance(result, Match) for result in results)
            return Refusal(
                SYMBOL_AMBIGUOUS,
                where,
                f"{count} functions in {self.shipped.objname} are the same to the byte",
            )
        self._learn(matches[0])
        return matches[0]

    def prove_data(self, variable: Unit) -> int:
        """Find a variable, and prove that its shipped contents are the same.

        Example: a name with the compiler's number, as ``new_cpus.4`` of kernel/cgroup/cpuset.c, may
        mean another variable in the shipped kernel.  It is proved only through a function that uses
        it.

        :raises Refusal: ``symbol-not-found``, ``symbol-ambiguous``, ``pre-image-mismatch``
        """
        where = f"{self.view.obj.name}: {variable.name}"
        known = self._known.get(variable, self._from_users(variable))
        candidates = [known] if known is not None else self._candidates(variable)
        if not candidates:
            raise Refusal(
                SYMBOL_NOT_FOUND, where, f"{self.shipped.objname} has no symbol of that name"
            )
        results = [match_data(self.view, variable, self.shipped, address) for address in candidates]
        matches = [result for result in results if isinstance(result, Match)]
        if not matches:
            closest = max(
                (r for r in results if isinstance(r, Mismatch)),
                key=lambda mismatch: mismatch.offset,
            )
            raise Refusal(PRE_IMAGE_MISMATCH, where, closest.what, evidence=closest.evidence)
        if len(matches) > 1 or (known is None and is_numbered(variable.name)):
            variables = f"{len(matches)} variables of that name in {self.shipped.objname}"
            found = f"{variables} have these contents"
            raise Refusal(SYMBOL_AMBIGUOUS, where, found)
        self._learn(matches[0])
        return matches[0].address

    def find(self, unit: Unit) -> int | Refusal:
        """Return the address of a function or variable that new code refers to.

        A function is proved.  A weak one need not be this file's: ``arch_asym_cpu_priority()`` of
        kernel/sched/fair.c is overridden by arch/x86/kernel/itmt.c, and a reference means that one.

        :return: or a refusal: ``symbol-not-found``, ``symbol-ambiguous``, and what `prove` raises
        """
        if unit in self._known:
            return self._known[unit]
        if unit.is_function and not self._is_weak(unit):
            match = self._find_function(unit)
            return match if isinstance(match, Refusal) else match.address
        address = self._from_users(unit)
        if address is not None:
            return address
        candidates = self._candidates(unit)
        where = f"{self.view.obj.name}: {unit.name}"
        if not candidates:
            return Refusal(
                SYMBOL_NOT_FOUND, where, f"{self.shipped.objname} has no symbol of that name"
            )
        if len(candidates) > 1 or is_numbered(unit.name):
            return Refusal(
                SYMBOL_AMBIGUOUS,
                where,
                f"{len(candidates)} symbols of that name are in {self.shipped.objname}",
            )
        return candidates[0]

    def among(self, function: Unit, known: Container[int]) -> int | None:
        """Return the address of a function if it is one of these; it is proved only where its name
        does not show which one it is."""
        candidates = self._candidates(function)
        if not any(address in known for address in candidates):
            return None
        if len(candidates) == 1:
            return candidates[0]
        found = self.find(function)
        return found if isinstance(found, int) and found in known else None

    def of_undefined(self, name: str) -> int | None:
        """Return the address that a proved function of this file uses for a symbol of another file;
        None where no proved function refers to it."""
        return self._undefined.get(name)

    def name_at(self, unit: Unit, address: int) -> str:
        """Return the shipped kernel's name of a unit; the compiler's numbers in it may differ."""
        names = self.shipped.names(address)
        for name in unit.names:
            if name in names:
                return name
        return next(name for name in names if base(name) == base(unit.name))

    def _candidates(self, unit: Unit) -> list[int]:
        addresses: set[int] = set()
        for name in unit.names:
            addresses.update(self.shipped.addresses(name))
        return sorted(addresses)

    def _weak_ones(self, function: Unit, candidates: list[int]) -> list[int]:
        """The candidates that are weak in the shipped kernel too.

        Example: kernel/signal.c has a weak ``arch_vma_name()`` that returns NULL, and so does the
        one of x86 that took its place: the bytes are equal, and the function is another.
        """
        names = (function.name, *function.aliases)
        return [a for a in candidates if any(self.shipped.is_weak(name, a) for name in names)]

    def _learn(self, match: Match) -> None:
        self._known.update(match.units)
        self._undefined.update(match.undefined)

    def _from_users(self, unit: Unit) -> int | None:
        """Return the address that a proved user of the unit refers to; None without such a user."""
        for user in self._users_of.get(unit, ()):
            if user not in self._matches:
                self._matches[user] = None  # ends circles of users
                results = [
                    match_at(self.view, user, self.shipped, address)
                    for address in self._candidates(user)
                ]
                matches = [result for result in results if isinstance(result, Match)]
                self._matches[user] = matches[0] if len(matches) == 1 else None
            match = self._matches[user]
            if match is not None and unit in match.units:
                self._learn(match)
                return match.units[unit]
        return None

    @cached_property
    def _users_of(self) -> dict[Unit, dict[Unit, None]]:
        users: dict[Unit, dict[Unit, None]] = defaultdict(dict)
        for function in self.view.units:
            if not function.is_function or is_cold(function.name):
                continue
            for reference in self.view.references(function):
                if isinstance(reference.target, ToUnit):
                    users[reference.target.unit][function] = None
        return users

    def _is_weak(self, unit: Unit) -> bool:
        return any(
            symbol.bind == STB_WEAK and symbol.name in unit.names and symbol.is_defined_here
            for symbol in self.view.obj.symbols
        )

    def _mismatch(self, where: str, function: Unit, mismatches: list[Mismatch]) -> Refusal:
        closest = max(mismatches, key=lambda mismatch: mismatch.offset)
        if self._is_weak(function):
            return Refusal(FUNCTION_NOT_IN_KERNEL, where, OVERRIDDEN)
        return Refusal(PRE_IMAGE_MISMATCH, where, closest.what, evidence=closest.evidence)
