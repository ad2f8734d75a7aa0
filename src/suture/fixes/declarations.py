# SPDX-License-Identifier: GPL-2.0-or-later
"""What a group of changed files misses, by what the compiler says.

A member, a macro or a function that is new in a header may have a name that the kernel knows
elsewhere, and a prototype may change under its name: `suture.fixes.groups` sees neither.  The
compiler names it::

    net/core/sock.c:701:3: error: 'struct sock' has no member named 'sk_uid'

The changed headers with that name in their changed lines are added, and those that it says a
declaration is in, with what they need.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from suture.errors import Refusal
from suture.fixes.groups import FileGroup
from suture.fixes.names import ChangedNames

_ERROR = re.compile(r": error: (.*)")
_DECLARED = re.compile(r"(?:\./)?(\S+?):\d+:\d+: note: (?:declared here|previous|expected)")
_NAME = re.compile(r"['\u2018](?:struct |union |enum )?(\w+)['\u2019]")


@dataclass(frozen=True, slots=True)
class HeaderNames:
    """The names that a changed header brings, and those in its changed lines."""

    path: str
    brought: frozenset[str]
    changed: frozenset[str]

    @classmethod
    def of(cls, header: ChangedNames) -> HeaderNames:
        """Return those of a header."""
        return cls(header.path, _texts(header.brought), _texts(header.mentioned))


def _texts(words: Iterable[bytes]) -> frozenset[str]:
    return frozenset(word.decode() for word in words)


class Declarations:
    """The headers of some groups, and the names that they bring or change."""

    def __init__(self, groups: Sequence[FileGroup], headers: Iterable[HeaderNames]) -> None:
        self._whole = {path: group.whole for group in groups for path in group.paths}
        self._brought: dict[str, set[str]] = defaultdict(set)
        self._changed: dict[str, set[str]] = defaultdict(set)
        for one in headers:
            for name in one.brought:
                self._brought[name].add(one.path)
            for name in one.changed:
                self._changed[name].add(one.path)

    def missing(self, group: FileGroup, refusal: Refusal) -> set[str]:
        """Return the paths that a group needs besides, as the compiler's message has it; nothing
        where the message tells of none.

        :param refusal: ``patch-does-not-compile``
        """
        present = set(group.whole)
        found: set[str] = set()
        errors = [match[1] for line in refusal.evidence if (match := _ERROR.search(line))]
        for name in (name for error in errors for name in _NAME.findall(error)):
            having = self._brought.get(name) or self._changed.get(name, set())
            found |= having - present
        places = [match[1] for line in refusal.evidence if (match := _DECLARED.search(line))]
        found |= self._whole.keys() & set(places) - present
        if not found and refusal.where in self._whole:
            # A header alone: who uses it has to change with it.
            found = {refusal.where} - present
        return {path for one in found for path in self._whole[one]} - present
