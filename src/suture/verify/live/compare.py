# SPDX-License-Identifier: GPL-2.0-or-later
"""One function in memory beside its image.

Each byte outside the places that the kernel writes to (`suture.arch.live_code`) has to be the
image's.  Each place has to have what the kernel writes there.  Places can overlap: an alternative
contains a call through a thunk.  Those are taken together, and the kernel's steps are done one
after the other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from suture.arch import Architecture
from suture.arch.live_code import LiveText, Rewrite, RewriteTable
from suture.verify.live.tables import TRACER

MOST_RESULTS = 64
"""Of one group of places: three alternatives with two thunks each have 24."""


@dataclass(frozen=True, slots=True)
class LiveDifference:
    """Bytes that the image and its tables do not explain.

    :ivar address: in the running kernel.
    :ivar what: the place that was expected there, or "".
    """

    address: int
    expected: bytes
    found: bytes
    what: str = ""


@dataclass(frozen=True, slots=True)
class LiveFunction:
    """What became of one function in memory.

    :ivar rewritten: kind of place -> how many of them the kernel has changed.
    :ivar calls: the address that its entry calls, for a tracer or a live patch; or None.
    """

    size: int
    rewritten: Mapping[str, int] = field(default_factory=dict)
    differences: tuple[LiveDifference, ...] = ()
    calls: int | None = None


@dataclass(frozen=True, slots=True)
class _RewriteGroup:
    """Places that overlap, in the kernel's order."""

    start: int
    end: int
    rewrites: tuple[Rewrite, ...]


class LiveComparison:
    """Compares the functions of one object.

    :param tables: in the order in which the kernel goes through them.
    :param probes: where somebody's probes are.
    """

    def __init__(
        self,
        text: LiveText,
        machine: Architecture,
        tables: Sequence[RewriteTable],
        probes: Collection[int],
    ) -> None:
        self._text = text
        self._arch = machine.live_code
        self._tables = tables
        self._probes = sorted(probes)

    def function(
        self, address: int, size: int, further: Collection[Rewrite] = ()
    ) -> LiveFunction | None:
        """Compare the bytes of a function; None if they cannot be read.

        :param further: places that no table has.
        """
        before = self._arch.before_entry(self._text, address)
        if before is not None:
            address, size = before.start, size + before.size
            further = (*further, before)
        shipped = self._text.shipped(address, size)
        live = self._text.live(address, len(shipped))
        if not shipped or len(live) < len(shipped):
            return None
        return _FunctionComparison(self, address, shipped, live).compared(further)

    def groups(self, begin: int, end: int, further: Collection[Rewrite]) -> Iterator[_RewriteGroup]:
        """Yield the groups of places in a range, ascending."""
        found = [*self._within(begin, end), *((len(self._tables), one) for one in further)]
        found.sort(key=lambda one: one[1].start)
        group: list[tuple[int, Rewrite]] = []
        last = begin
        for order, one in found:
            if group and one.start >= last:
                yield _group(group)
                group = []
            group.append((order, one))
            last = max(last, one.start + one.size)
        if group:
            yield _group(group)

    def _within(self, begin: int, end: int) -> Iterator[tuple[int, Rewrite]]:
        for order, table in enumerate(self._tables):
            first, last = bisect_left(table.starts, begin), bisect_left(table.starts, end)
            for index in range(first, last):
                made = table.make(index)
                if made is not None:
                    yield order, made

    def results(
        self, group: _RewriteGroup, code: bytes, live: bytes
    ) -> Mapping[bytes, frozenset[str]]:
        """Return what a group of places may have become, each with the kinds of places that were
        changed."""
        states = {code: frozenset[str]()}
        for one in group.rewrites:
            at, to = one.start - group.start, one.start - group.start + one.size
            results: dict[bytes, frozenset[str]] = {}
            for state, kinds in states.items():
                for after in one.after(state[at:to], live[at:to]):
                    changed = kinds if after == state[at:to] else kinds | {one.what}
                    results.setdefault(state[:at] + after + state[to:], changed)
            states = dict(islice(results.items(), MOST_RESULTS))
        return states

    def is_same(self, one: bytes, other: bytes, address: int) -> bool:
        """Whether two pieces of code do the same."""
        normal = self._arch.normal
        return one == other or (
            normal(one, address, self._text) == normal(other, address, self._text)
        )

    def without_probes(self, begin: int, expected: bytes, live: bytes) -> bytes:
        """Return live code without what probes wrote into it."""
        first = bisect_left(self._probes, begin)
        last = bisect_left(self._probes, begin + len(live))
        for address in self._probes[first:last]:
            at = address - begin
            to = at + self._arch.probe_size(live[at:])
            live = live[:at] + expected[at:to] + live[to:]
        return live

    def call_target(self, code: bytes, address: int) -> int | None:
        """Return the target of a call that code begins with."""
        return self._arch.call_target(code, address)


def _group(members: list[tuple[int, Rewrite]]) -> _RewriteGroup:
    start = min(one.start for _, one in members)
    end = max(one.start + one.size for _, one in members)
    ordered = sorted(members, key=lambda one: one[0])
    return _RewriteGroup(start, end, tuple(one for _, one in ordered))


class _FunctionComparison:
    """The comparison of one function, place after place."""

    def __init__(self, all_: LiveComparison, address: int, shipped: bytes, live: bytes) -> None:
        self._all = all_
        self._address = address
        self._shipped = shipped
        self._live = live
        self._rewritten: Counter[str] = Counter()
        self._differences: list[LiveDifference] = []
        self._calls: int | None = None

    def compared(self, further: Collection[Rewrite]) -> LiveFunction:
        """Compare it."""
        end = self._address + len(self._shipped)
        done = self._address
        for group in self._all.groups(self._address, end, further):
            self._plain(done, group.start)
            self._rewrites(group)
            done = max(done, group.end)
        self._plain(done, end)
        return LiveFunction(
            len(self._shipped),
            dict(self._rewritten),
            tuple(self._differences),
            self._calls,
        )

    def _pieces(self, begin: int, end: int) -> tuple[bytes, bytes]:
        at, to = begin - self._address, end - self._address
        return self._shipped[at:to], self._live[at:to]

    def _plain(self, begin: int, end: int) -> None:
        """Compare code that nothing writes to."""
        shipped, live = self._pieces(begin, end)
        live = self._all.without_probes(begin, shipped, live)
        different = [
            at for at, pair in enumerate(zip(shipped, live, strict=True)) if len({*pair}) > 1
        ]
        if different:
            first, last = different[0], different[-1] + 1
            self._differences.append(
                LiveDifference(begin + first, shipped[first:last], live[first:last])
            )

    def _rewrites(self, group: _RewriteGroup) -> None:
        shipped, live = self._pieces(group.start, group.end)
        results = self._all.results(group, shipped, live)
        for result, kinds in results.items():
            plain = self._all.without_probes(group.start, result, live)
            if self._all.is_same(result, plain, group.start):
                self._rewritten.update(kinds)
                if TRACER in kinds:
                    self._calls = self._all.call_target(live, group.start)
                return
        what = ", ".join(dict.fromkeys(one.what for one in group.rewrites))
        expected = next(iter(results), shipped)
        self._differences.append(LiveDifference(group.start, expected, live, what))
