# SPDX-License-Identifier: GPL-2.0-or-later
"""Why each function is in a live patch.

1. Its own source changes.
2. It calls a changed function that cannot be redirected, and has to call the new one.
3. It uses something that changes: the compiler builds a copy of a changed function into it, or a
   macro or a type of a header.

The third is read from the text: the shortest way of names from the function to what changes.  The
machine code has shown before that the function differs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from suture.report.content import FunctionRole, SourceHunk
from suture.report.source import SourceDefinition, definitions, spoken_name
from suture.verify.plan import CallerReplacement
from suture.workspace.applying import Changed

DEEPEST = 6
"""Names between a function and what changes."""


class Reasons:
    """Explains the functions of one live patch.

    :param hunks: those of `changes`.
    :param read: returns the text of a source file that does not change.
    """

    def __init__(
        self,
        changes: Sequence[Changed],
        hunks: Sequence[SourceHunk],
        callers: Sequence[CallerReplacement],
        read: Callable[[str], bytes] = lambda _: b"",
    ) -> None:
        self._read = read
        self._hunks = hunks
        self._callers = {(one.source, one.function): one.calls for one in callers}
        self._by_file = {change.path: definitions(change.new) for change in changes}
        self._others: dict[str, list[SourceDefinition]] = {}
        self._changed: dict[str, str] = {}
        for hunk in hunks:
            for name in hunk.inside:
                self._changed.setdefault(name, hunk.path)

    def hunks_of(self, source: str, function: str, called: Collection[str] = ()) -> tuple[int, ...]:
        """Return the numbers of the hunks that change a function, then of those that change what it
        uses."""
        name = spoken_name(function)
        own = self._own_hunks(source, name)
        if (source, function) in self._callers:
            return own
        used = {way[-1] for way in self._ways(source, name, called, bool(own))}
        others = (n for n, hunk in enumerate(self._hunks) if used & set(hunk.inside))
        return tuple(dict.fromkeys((*own, *others)))

    def _own_hunks(self, source: str, name: str) -> tuple[int, ...]:
        """Return the hunks that change a function itself; it may stand in a header that its source
        file includes."""
        numbers = [number for number, hunk in enumerate(self._hunks) if name in hunk.inside]
        own = [number for number in numbers if self._hunks[number].path == source]
        return tuple(own or [n for n in numbers if self._hunks[n].path.endswith(".h")])

    def of(
        self, source: str, function: str, role: FunctionRole, called: Collection[str] = ()
    ) -> str:
        """Return a sentence.

        :param called: the functions that its machine code calls.
        """
        if role is FunctionRole.NEW:
            added = spoken_name(function) in self._changed
            return "The patch adds it." if added else "The compiler makes it a function of its own."
        reason = self._why_replaced(source, function, called)
        if role is FunctionRole.CARRIED:
            return f"{reason} It has no fentry call, so its callers are replaced instead."
        return reason

    def _why_replaced(self, source: str, function: str, called: Collection[str]) -> str:
        name = spoken_name(function)
        if self._own_hunks(source, name):
            ways = self._ways(source, name, called, True)
            return " ".join(["Its source changes.", *(self._use(way, called) for way in ways)])
        calls = self._callers.get((source, function))
        if calls is not None:
            return (
                f"Its source does not change. It calls {calls}(), which changes and cannot be "
                "redirected: it has no fentry call."
            )
        ways = self._ways(source, name, called, False)
        if not ways:
            headers = [path for path in self._by_file if path.endswith(".h")]
            cause = f"; {' and '.join(headers)} changes" if headers else ""
            return f"Its source does not change, but its machine code does{cause}."
        uses = " ".join(self._use(way, called) for way in ways)
        return f"Its source does not change. {uses}"

    def _use(self, way: Sequence[str], called: Collection[str]) -> str:
        """Return a sentence on one thing that a function uses."""
        end = way[-1]
        through = f", through {' and '.join(way[:-1])}" if way[:-1] else ""
        start = f"It uses {end} of {self._changed[end]}{through}, which changes"
        if not self._is_function(end):
            return f"{start}."
        if end in called:
            return f"{start}, and is compiled differently with it."
        return f"{start} and is built into it (inlined)."

    def _is_function(self, name: str) -> bool:
        known = self._by_file.get(self._changed[name], ())
        return any(one.name == name and one.last > one.first for one in known)

    def _ways(
        self, source: str, function: str, called: Collection[str], is_explained: bool
    ) -> list[list[str]]:
        """Return the names from a function to each thing that changes and that it uses.

        :param is_explained: the function differs anyway, so that nothing else need have caused it.

        What the machine code calls is not built into it, and leads no further: it only counts
        where nothing else does.  Example: ``hidp_session_run()`` (net/bluetooth/hidp/core.c) has
        copies of ``hidp_recv_intr_frame()`` and ``hidp_recv_ctrl_frame()``.
        """
        known = self._definitions_for(source)
        waiting = deque([(function, list[str]())])
        seen, found = {function}, list[list[str]]()
        while waiting:
            name, way = waiting.popleft()
            words = known[name].words if name in known else frozenset()
            for word in sorted(words - seen):
                seen.add(word)
                if word in self._changed:
                    found.append([*way, word])
                if word in known and word not in called and len(way) < DEEPEST:
                    waiting.append((word, [*way, word]))
        built_in = [way for way in found if way[-1] not in called]
        return built_in if built_in or is_explained else found[:1]

    def _definitions_for(self, source: str) -> Mapping[str, SourceDefinition]:
        """Return what is known of a file: its own definitions, then those of changed headers."""
        if source not in self._by_file:
            self._others.setdefault(source, definitions(self._read(source)))
        found = {one.name: one for one in self._others.get(source, ())}
        for path in sorted(self._by_file, key=lambda path: path == source):
            if path == source or path.endswith(".h"):
                found.update({one.name: one for one in self._by_file[path]})
        return found
