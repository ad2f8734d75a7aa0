# SPDX-License-Identifier: GPL-2.0-or-later
"""The calls between the functions of one shipped object, and the functions whose address code uses.

The linked bytes are searched for calls and addresses without decoding (`suture.arch.search`): for a
whole kernel that takes about a second.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from suture.verify.linked_code import LinkedCode, linked_code
from suture.verify.shipped import Region, Shipped, ShippedImage, ShippedModule

PREFIX = "__pfx_"
"""Names of the padding before functions, which objtool adds (tools/objtool/elf.c:
elf_create_prefix_symbol())."""

COLD = ".cold"


@dataclass(frozen=True, slots=True)
class CallGraph:
    """The functions of an object, and what leads from one to another.

    :ivar names: address of a function -> its names; a module's imports are among them.
    :ivar starts: the addresses, ascending.
    :ivar callees: function -> the functions that it calls or jumps to.
    :ivar callers: the same the other way round.
    :ivar users: function -> the functions whose code loads its address.
    """

    shipped: Shipped
    names: Mapping[int, Sequence[str]]
    starts: Sequence[int]
    regions: Sequence[Region]
    callees: Mapping[int, frozenset[int]]
    callers: Mapping[int, frozenset[int]]
    users: Mapping[int, frozenset[int]]

    def name(self, function: int) -> str:
        """Return a function's first name."""
        return self.names[function][0]

    def named(self, names: Iterable[str]) -> frozenset[int]:
        """Return the functions that have any of these names."""
        wanted = frozenset(names)
        return frozenset(at for at, known in self.names.items() if not wanted.isdisjoint(known))

    def code(self, function: int) -> bytes:
        """Return a function's bytes with the padding behind it; b"" where it is not here."""
        for region in self.regions:
            offset = function - region.address
            if 0 <= offset < len(region.data):
                position = bisect_right(self.starts, function)
                last = position == len(self.starts)
                end = len(region.data) if last else self.starts[position] - region.address
                return region.data[offset:end]
        return b""

    def decoded(self, function: int, ending: frozenset[int]) -> LinkedCode:
        """Return the calls and loops of a function with its ``.cold`` part.

        :param ending: functions that never return.
        """
        parts = [function, *self._cold_parts(function)]
        return linked_code(
            self.shipped.arch.decoding, [(part, self.code(part)) for part in parts], ending
        )

    def _cold_parts(self, function: int) -> list[int]:
        """Return the ``.cold`` part of a function, if one alone has its name."""
        found = [at for name in self.names[function] for at in self.shipped.addresses(name + COLD)]
        return found if len(found) == 1 else []


def call_graph(shipped: Shipped) -> CallGraph:
    """Search an object's code for calls and for addresses of functions."""
    regions = [region for region in shipped.regions() if region.is_code]
    names = _functions(shipped, regions)
    starts = sorted(names)
    targets = names.keys()
    callees, callers, users = defaultdict(set), defaultdict(set), defaultdict(set)
    for region in regions:
        for link in shipped.arch.search.links(region.data, region.address, targets):
            position = bisect_right(starts, link.field)
            function = starts[position - 1] if position else region.address
            if link.is_branch:
                callees[function].add(link.target)
                callers[link.target].add(function)
            else:
                users[link.target].add(function)
    return CallGraph(
        shipped, names, starts, regions, _frozen(callees), _frozen(callers), _frozen(users)
    )


def _frozen(found: Mapping[int, set[int]]) -> dict[int, frozenset[int]]:
    return {function: frozenset(others) for function, others in found.items()}


def _functions(shipped: Shipped, code: Sequence[Region]) -> dict[int, list[str]]:
    """Return the names of all functions, by address."""
    found: dict[int, list[str]] = defaultdict(list)
    for address, name in _symbols(shipped):
        if not name.startswith(PREFIX) and _may_be_function(shipped, code, address):
            found[address].append(name)
    return dict(found)


def _symbols(shipped: Shipped) -> Iterator[tuple[int, str]]:
    """Yield the address and name of each symbol that may be a function."""
    if isinstance(shipped, ShippedImage):
        yield from (
            (one.address, one.name) for one in shipped.kallsyms.symbols if one.type in "tTwW"
        )
    elif isinstance(shipped, ShippedModule):
        for address, names in shipped.by_address.items():
            yield from ((address, name) for name in names)


def _may_be_function(shipped: Shipped, code: Sequence[Region], address: int) -> bool:
    """Whether an address is in code, or in another object."""
    if isinstance(shipped, ShippedImage):
        return True
    if any(one.address <= address < one.address + len(one.data) for one in code):
        return True
    return shipped.read(address, 1) is None
