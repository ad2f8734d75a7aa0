# SPDX-License-Identifier: GPL-2.0-or-later
"""The loops and exits of one linked function, from its instructions.

Two instructions are in one loop if each can be reached from the other.  Example: the thread
function ``kjournald2()`` (fs/jbd2/journal.c) calls ``schedule()`` and ``finish_wait()`` in one
loop; in ``wait_event()`` (include/linux/wait.h), the second comes after the loop around the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from suture.arch.decoding import Decoding, Flow, Instruction

ENDS = frozenset({Flow.RETURN, Flow.TRAP, Flow.INDIRECT_JUMP})
JUMPS = frozenset({Flow.JUMP, Flow.CONDITIONAL_JUMP})


@dataclass(frozen=True, slots=True)
class LinkedCode:
    """What a function calls, and where.

    :ivar calls: all functions that it calls.
    :ivar loops: the functions that each loop calls; a loop in another is part of that one.
    :ivar leaves: it has a return, or a jump to another function.
    :ivar is_known: there is code at all.
    """

    calls: frozenset[int]
    loops: tuple[frozenset[int], ...]
    leaves: bool
    is_known: bool

    @property
    def looped(self) -> frozenset[int]:
        """All functions that it calls in loops."""
        return frozenset().union(*self.loops)


def linked_code(
    decoding: Decoding, parts: Iterable[tuple[int, bytes]], ending: frozenset[int]
) -> LinkedCode:
    """Read the parts of a function.

    :param parts: address and bytes of each.
    :param ending: functions that never return.
    """
    code = [one for start, data in parts for one in decoding.instructions(data, start)]
    position = {one.start: index for index, one in enumerate(code)}
    following = [_following(code, index, position, ending) for index in range(len(code))]
    reached = _reached(following)
    loops = [_called(code, loop) for loop in _loops(following) if reached & loop]
    leaves = any(_leaves(code[index], position) for index in reached)
    return LinkedCode(_called(code, reached), tuple(loops), leaves, bool(code))


def _following(
    code: Sequence[Instruction], index: int, position: dict[int, int], ending: frozenset[int]
) -> list[int]:
    """Return the places of the instructions that can come next."""
    one, result = code[index], []
    if one.flow in JUMPS and one.target in position:
        result.append(position[one.target])
    is_end = one.flow in ENDS or one.flow is Flow.JUMP
    is_end = is_end or (one.flow is Flow.CALL and one.target in ending)
    if not is_end and one.end in position:
        result.append(position[one.end])
    return result


def _leaves(one: Instruction, position: dict[int, int]) -> bool:
    return one.flow in (Flow.RETURN, Flow.INDIRECT_JUMP) or (
        one.flow in JUMPS and one.target not in position
    )


def _called(code: Sequence[Instruction], places: Iterable[int]) -> frozenset[int]:
    """Return the targets of calls and jumps among some instructions."""
    targets = (code[index].target for index in places if code[index].flow is not Flow.NEXT)
    return frozenset(target for target in targets if target is not None)


def _reached(following: Sequence[Sequence[int]]) -> frozenset[int]:
    """Return the places that can be reached from the first instruction."""
    seen = {0} if following else set()
    waiting = list(seen)
    while waiting:
        for index in following[waiting.pop()]:
            if index not in seen:
                seen.add(index)
                waiting.append(index)
    return frozenset(seen)


def _loops(following: Sequence[Sequence[int]]) -> Iterator[frozenset[int]]:
    """Yield the strongly connected parts with a way round (Tarjan's algorithm)."""
    number: dict[int, int] = {}
    lowest: dict[int, int] = {}
    open_places: list[int] = []
    is_open: set[int] = set()
    for root in range(len(following)):
        if root in number:
            continue
        walk = [(root, iter(following[root]))]
        number[root] = lowest[root] = len(number)
        open_places.append(root)
        is_open.add(root)
        while walk:
            place, rest = walk[-1]
            after = next(rest, None)
            if after is None:
                walk.pop()
                if walk:
                    parent = walk[-1][0]
                    lowest[parent] = min(lowest[parent], lowest[place])
                if lowest[place] == number[place]:
                    start = open_places.index(place)
                    part = frozenset(open_places[start:])
                    del open_places[start:]
                    is_open -= part
                    if len(part) > 1 or place in following[place]:
                        yield part
            elif after not in number:
                number[after] = lowest[after] = len(number)
                open_places.append(after)
                is_open.add(after)
                walk.append((after, iter(following[after])))
            elif after in is_open:
                lowest[place] = min(lowest[place], number[after])
