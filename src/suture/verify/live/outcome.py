# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch module replaces and reaches, in the memory of this host's kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from suture.arch.live_code import Rewrite
from suture.core import redirections
from suture.core.running import ROOT
from suture.errors import Refusal
from suture.errors.verify import LIVE_MEMORY_DIFFERS
from suture.verify.examination import Examination
from suture.verify.kernel import Kernel
from suture.verify.live import tables
from suture.verify.live.compare import LiveDifference, LiveFunction
from suture.verify.live.running import CannotCompare, RunningKernel

ATTEMPTS, PAUSE = 3, 0.05
"""The kernel writes an int3 first when it changes code (``text_poke_bp()``); a moment later it is
gone."""

MOST_BYTES = 16
"""Of a difference, to show."""


class LiveRole(StrEnum):
    """What the module does with a function."""

    REPLACED = "replaced"
    REACHED = "reached"


@dataclass(frozen=True, slots=True)
class LiveCheck:
    """One function.

    :ivar address: in the running kernel; 0 if not known.
    :ivar result: None if it was not compared, `because` of that.
    :ivar tracer: who is called at its entry, in words; "".
    :ivar probes: the probes in it, as the kernel names them.
    """

    role: LiveRole
    objname: str
    function: str
    address: int = 0
    result: LiveFunction | None = None
    because: str = ""
    tracer: str = ""
    probes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether memory has something that the image does not explain."""
        return self.result is not None and bool(self.result.differences)

    def evidence(self) -> list[str]:
        """Return the differences in words."""
        found = self.result.differences if self.result is not None else ()
        return [_shown(one, self.address) for one in found]


@dataclass(frozen=True, slots=True)
class LiveOutcome:
    """What became of the comparison.

    :ivar because: why nothing was compared; "" otherwise.
    :ivar move: how far the kernel moved itself at boot.
    :ivar lists_probes: whether the kernel's list of probes can be read.
    """

    checks: tuple[LiveCheck, ...] = ()
    because: str = ""
    move: int = 0
    lists_probes: bool = True

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """One refusal for each function that differs."""
        return tuple(self._refusal(one) for one in self.checks if one.differs)

    def _refusal(self, check: LiveCheck) -> Refusal:
        assert check.result is not None, "it differs"
        evidence = check.evidence()
        if not self.lists_probes:
            evidence.append("The kernel's list of probes cannot be read (debugfs is not mounted?).")
        first = check.result.differences[0]
        found = f"differs in memory at {first.address:#x}"
        where = f"{check.objname}: {check.function}()"
        return Refusal(LIVE_MEMORY_DIFFERS, where, found, evidence=evidence)


def _shown(one: LiveDifference, start: int) -> str:
    what = f" ({one.what})" if one.what else ""
    expected, found = (_hex(code) for code in (one.expected, one.found))
    return f"{one.address - start:+#x}{what}: expected {expected}, found {found}"


def _hex(code: bytes) -> str:
    return code[:MOST_BYTES].hex(" ") + (" ..." if len(code) > MOST_BYTES else "")


def compare_live(found: Examination, kernel: Kernel, root: Path = ROOT) -> LiveOutcome:
    """Compare what an examined module replaces and reaches with this host's memory.

    :raises Refusal: what reading the target raises
    """
    try:
        live = RunningKernel(kernel, root)
    except CannotCompare as error:
        return LiveOutcome(because=str(error))
    try:
        uses = redirections.uses(root)
        comparing = _Comparing(kernel, live, uses or {})
        checks = tuple(comparing.check(*one) for one in _functions(found, kernel))
        return LiveOutcome(checks, move=live.core.move, lists_probes=live.lists_probes)
    finally:
        live.close()


Wanted = tuple[LiveRole, str, str, int]
"""Role, object, function, and its address in the object as shipped."""


def _functions(found: Examination, kernel: Kernel) -> Iterator[Wanted]:
    """Yield the replaced functions, then the functions that the module reaches."""
    seen: set[tuple[str, int]] = set()
    for wanted in (*_replaced(found), *_reached(found, kernel)):
        if (wanted[1], wanted[3]) not in seen:
            seen.add((wanted[1], wanted[3]))
            yield wanted


def _replaced(found: Examination) -> Iterator[Wanted]:
    for one in found.functions:
        if one.address is not None:
            yield LiveRole.REPLACED, one.objname, one.function.old_name, one.address


def _reached(found: Examination, kernel: Kernel) -> Iterator[Wanted]:
    for one in found.symbols:
        if one.address is not None and _is_code(kernel, one.symbol.objname, one.address):
            yield LiveRole.REACHED, one.symbol.objname, one.symbol.name, one.address
    for each in found.imports:
        if each.export is None:
            continue
        objname = each.export.module
        try:
            addresses = kernel.shipped(objname).global_addresses(each.name)
        except Refusal:
            continue
        if addresses and _is_code(kernel, objname, addresses[0]):
            yield LiveRole.REACHED, objname, each.name, addresses[0]


def _is_code(kernel: Kernel, objname: str, address: int) -> bool:
    shipped = kernel.shipped(objname)
    return not shipped.is_discarded(address) and any(
        region.is_code and region.address <= address < region.address + len(region.data)
        for region in shipped.regions()
    )


class _Comparing:
    def __init__(self, kernel: Kernel, live: RunningKernel, uses: redirections.Uses) -> None:
        self._kernel = kernel
        self._live = live
        self._uses = uses

    def check(self, role: LiveRole, objname: str, function: str, address: int) -> LiveCheck:
        """Compare one function."""
        shipped = self._kernel.shipped(objname)
        size = shipped.size(address)
        try:
            place = self._live.place(objname, address)
            result = self._result(objname, function, place, size)
        except CannotCompare as error:
            return LiveCheck(role, objname, function, because=str(error))
        if result is None:
            return LiveCheck(role, objname, function, place, because="its memory cannot be read")
        tracer = self._tracer(objname, function, result) if result.calls is not None else ""
        probes = tuple(self._live.probe_names(place, size))
        return LiveCheck(role, objname, function, place, result, "", tracer, probes)

    def _result(self, objname: str, function: str, place: int, size: int) -> LiveFunction | None:
        comparison = self._live.comparison(objname)
        further = self._trampoline(function, place)
        for attempt in range(ATTEMPTS):
            time.sleep(PAUSE if attempt else 0)
            result = comparison.function(place, size, further)
            if result is None or not result.differences:
                break
        return result

    def _trampoline(self, function: str, place: int) -> Sequence[Rewrite]:
        """A trampoline of a static call is a site without an entry in the table."""
        if not function.startswith(tables.TRAMPOLINE):
            return ()
        key = self._live.core.symbol(tables.KEY + function.removeprefix(tables.TRAMPOLINE))
        if key is None:
            return ()
        machine = self._kernel.vmlinux.arch
        made = tables.static_call(self._live.core, machine, place, key)
        return () if made is None else (made,)

    def _tracer(self, objname: str, function: str, result: LiveFunction) -> str:
        assert result.calls is not None, "it calls a tracer"
        use = self._uses.get((objname, function))
        by = use.direct or use.tramp if use is not None else ""
        redirected = " (redirected: a live patch)" if use is not None and use.is_redirected else ""
        return (by or self._live.name_of(result.calls)) + redirected
