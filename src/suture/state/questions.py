# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions that no program can answer, asked of the author with the evidence for them.

Tasks switch to the new code one by one, and what old code did before stays done
(Documentation/livepatch/livepatch.rst, "Consistency model"):

- ``lock-unpaired``: a function now takes a lock that it does not release, or the other way round.
- ``set-up-earlier``: a function that sets up objects now also fills a member that others now read;
  objects that exist already did not pass through it.
- ``counted-in-two-places``: one function now takes a reference and another one drops it; what was
  opened before was never counted.

Questions never stop a build.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from suture.errors import COUNTED_IN_TWO_PLACES, LOCK_UNPAIRED, SET_UP_EARLIER, Finding, Kind, Level
from suture.state.places import Body, bodies
from suture.workspace.applying import Changed

TAKES = re.compile(
    r"\b(mutex_lock|spin_lock|raw_spin_lock|read_lock|write_lock|down_read|down_write|inode_lock"
    r"|rtnl_lock|folio_lock|lock_page|lock_sock)(?:_\w+)?\s*\(\s*([^(),;]*(?:\([^()]*\))?[^(),;]*)",
    re.ASCII,
)
RELEASES = re.compile(
    r"\b(mutex_unlock|spin_unlock|raw_spin_unlock|read_unlock|write_unlock|up_read|up_write"
    r"|inode_unlock|rtnl_unlock|folio_unlock|unlock_page|release_sock)(?:_\w+)?"
    r"\s*\(\s*([^(),;]*(?:\([^()]*\))?[^(),;]*)",
    re.ASCII,
)
"""Calls that take and release a lock, with what they lock."""

GAINS = re.compile(
    r"\b(?:refcount_inc|atomic_inc|atomic64_inc|kref_get|percpu_ref_get|dev_hold|\w+_get)(?:_\w+)?"
    r"\s*\(\s*&?([\w.>-]+)",
    re.ASCII,
)
DROPS = re.compile(
    r"\b(?:refcount_dec|atomic_dec|atomic64_dec|kref_put|percpu_ref_put|dev_put|\w+_put)(?:_\w+)?"
    r"\s*\(\s*&?([\w.>-]+)",
    re.ASCII,
)
"""Calls that take and drop a reference, with what is counted."""

FILLS = re.compile(r"(?:->|\.)\s*(\w+)\s*(?:\|=|\+=|=(?!=))", re.ASCII)
READS = re.compile(r"(?:->|\.)\s*(\w+)\b(?!\s*(?:\|=|\+=|=(?!=)|\())", re.ASCII)

SETS_UP = re.compile(
    r"(?:^|_)(?:probe|open|create|alloc|init|setup|attach|connect|register|new|clone|fill_super)"
    r"(?:$|_)",
    re.ASCII,
)
"""Names of functions that set up objects, as ``ext4_fill_super`` and ``devkmsg_open``."""


def questions(changes: Sequence[Changed]) -> Iterator[Finding]:
    """Compare the bodies of functions before and after a patch, as text."""
    for change in changes:
        if change.old is not None and change.path.endswith(".c"):
            before, after = bodies(change.old), bodies(change.new)
            changed = {
                name: body
                for name, body in after.items()
                if name in before and body.text != before[name].text
            }
            yield from _unpaired_locks(change.path, before, changed)
            yield from _set_up_earlier(change.path, before, changed)
            yield from _counted_in_two_places(change.path, before, changed)


def _unpaired_locks(
    path: str, before: Mapping[str, Body], after: Mapping[str, Body]
) -> Iterator[Finding]:
    """Example: a fix moves ``mutex_unlock(&ctx->lock)`` from one function to its caller."""
    for name, body in after.items():
        old = before[name]
        taken = _by_object(TAKES, body) - _by_object(TAKES, old)
        released = _by_object(RELEASES, body) - _by_object(RELEASES, old)
        gone = _by_object(TAKES, old) - _by_object(TAKES, body)
        for what in taken:
            if not released[what] and not _by_object(RELEASES, body)[what]:
                text = f"{name}() takes {what} and does not release it"
                yield _question(LOCK_UNPAIRED, name, path, body.line, text)
        for what in released:
            if not (taken[what] or gone[what] or _by_object(TAKES, body)[what]):
                text = f"{name}() releases {what} and does not take it"
                yield _question(LOCK_UNPAIRED, name, path, body.line, text)


def _set_up_earlier(
    path: str, before: Mapping[str, Body], after: Mapping[str, Body]
) -> Iterator[Finding]:
    """Example: a probe function now sets ``priv->quirk``, and an interrupt handler checks it."""
    reading = _newly_in(READS, before, after)
    for name, body in after.items():
        if not SETS_UP.search(name):
            continue
        for member in _new(FILLS, before[name], body):
            others = [other for other in reading.get(member, ()) if not SETS_UP.search(other)]
            if others:
                text = f"{name}() now sets {member}, and {others[0]}() now reads it"
                yield _question(SET_UP_EARLIER, member, path, body.line, text)


def _counted_in_two_places(
    path: str, before: Mapping[str, Body], after: Mapping[str, Body]
) -> Iterator[Finding]:
    """Example: an open function now takes a reference, which the release function drops."""
    dropping = _newly_in(DROPS, before, after)
    for name, body in after.items():
        for what in _new(GAINS, before[name], body):
            others = [one for one in dropping.get(_last_part(what), ()) if one != name]
            if others:
                text = f"{name}() now takes a reference to {what}, and {others[0]}() drops one"
                yield _question(COUNTED_IN_TWO_PLACES, _last_part(what), path, body.line, text)


def _question(kind: Kind, name: str, path: str, line: int, text: str) -> Finding:
    return Finding(kind, name, f"{path}:{line}", text, level=Level.NOTE)


def _by_object(pattern: re.Pattern[str], body: Body) -> Counter[str]:
    """Count the calls by what they lock."""
    return Counter(match[2].strip() or match[1] for match in pattern.finditer(body.text))


def _new(pattern: re.Pattern[str], old: Body, new: Body) -> list[str]:
    """Return what the new body has more often than the old one, and the old one has not at all."""
    there = set(pattern.findall(old.text))
    return [name for name in dict.fromkeys(pattern.findall(new.text)) if name not in there]


def _newly_in(
    pattern: re.Pattern[str], before: Mapping[str, Body], after: Mapping[str, Body]
) -> dict[str, list[str]]:
    """Return what functions newly mention, by its last part, with those functions."""
    found: dict[str, list[str]] = {}
    for name, body in after.items():
        for what in _new(pattern, before[name], body):
            found.setdefault(_last_part(what), []).append(name)
    return found


def _last_part(expression: str) -> str:
    """Return the last member of ``file->private->count``."""
    return re.split(r"->|\.", expression)[-1]
