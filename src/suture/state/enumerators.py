# SPDX-License-Identifier: GPL-2.0-or-later
"""Constants of enumerations that a patch renumbers or removes: objects in memory hold their values.

======================================  =======================================================
a constant has another value            refused
a constant goes, and nothing has its    warned, where old code stores the constant or passes it
value
a constant is added, gets another       silent
name, or counts the others
======================================  =======================================================

Example of a count: ``NR_VM_EVENT_ITEMS`` (include/linux/vm_event_item.h) grows with each event that
is added before it, and ``NL80211_ATTR_MAX`` (include/uapi/linux/nl80211.h), the last attribute,
moves with ``__NL80211_ATTR_AFTER_LAST`` behind it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from suture.errors import ENUMERATOR_REMOVED, LAYOUT_CHANGED, Finding, Level
from suture.kernel.layouts import Enumerator
from suture.state.definitions import defined_at
from suture.state.places import Place, lines_of, mentioned_at
from suture.workspace.applying import Changed
from suture.workspace.comments import without_comments

Values = Mapping[str, int]
"""The constants of one enumeration."""

_COUNT = re.compile(r"^_*(NR|NUM)_|_(NR|NUM|COUNT|CNT|AFTER_LAST)$|^__\w*_(MAX|LAST|END)$", re.I)
"""Names of counts: ``NR_CMDS``, ``BINDER_STAT_COUNT``, ``__IFLA_MAX``."""

_BOUND = re.compile(r"^MAX_|(^|_)(MAX|LIMIT|COUNT|NUM|NR)$", re.I)
"""Names of counts or of states: ``WB_REASON_MAX`` is a bound, and another ``MAX`` may be a level.
The one that is stored is no count."""

_ENUMERATION = re.compile(r"\benum\b[\s\w]*\{[^}]*\}", re.ASCII)
_LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_COMPARISON = r"(?:(?<![<>=])[=!<>]=|(?<!<)<(?![<=])|(?<![>-])>(?![>=])|&[&=]?\s*~?)"


def enumerator_findings(
    source: str,
    before: Mapping[str, Enumerator],
    after: Mapping[str, Enumerator],
    changes: Sequence[Changed],
) -> Iterator[Finding]:
    """Compare the enumerations of one object (``layout-changed``, ``enumerator-removed``).

    :param source: the object's source file.
    :param changes: the files that the patch changes.
    """
    olds, news = _by_enumeration(before), _by_enumeration(after)
    for title, old in olds.items():
        # An enumeration without a name is known by its first constant, which may have gone.
        titles = {after[name].of for name in old if name in after} | ({title} & news.keys())
        new = {name: value for each in sorted(titles) for name, value in news[each].items()}
        if new != old:
            yield from _moved(source, title, old, new, changes)
            yield from _removed(source, title, old, new, changes)


def _by_enumeration(constants: Mapping[str, Enumerator]) -> Mapping[str, Values]:
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for name, constant in constants.items():
        found[constant.of][name] = constant.value
    return found


def _moved(
    source: str, title: str, old: Values, new: Values, changes: Sequence[Changed]
) -> Iterator[Finding]:
    """Find the first constant with another value.

    The greatest one may grow, whatever its name: it counts those before it, and is no state.
    """
    for name, value in old.items():
        if name not in new or new[name] == value:
            continue
        if value == max(old.values()) and new[name] > value:
            continue
        if _counts(name, old, changes) and _counts(name, new, changes):
            continue
        text = f"{title}: {name} was {value} and becomes {new[name]}"
        place = mentioned_at(changes, name) or Place(source)
        remedy = "Add new constants at the end, with values that were not used."
        yield Finding(LAYOUT_CHANGED, name, str(place), text, (), remedy)
        return


def _removed(
    source: str, title: str, old: Values, new: Values, changes: Sequence[Changed]
) -> Iterator[Finding]:
    """Find constants that go, with their values: the new code does not expect these any more.

    A constant of another name may have the value; a count that has it now does not mean it.
    """
    if not new:
        return  # nothing is left of the enumeration: what used it has another type now
    taken = {value for name, value in new.items() if not _counts(name, new, changes)}
    for name, value in old.items():
        if name in new or value in taken or _counts(name, old, changes):
            continue
        if stored := _stored_at(changes, name):
            text = f"{title}: {name} goes, and nothing else has its value, {value}"
            place = defined_at(changes, title) or Place(source)
            evidence = (f"{stored} stores or passes it before the patch",)
            yield Finding(ENUMERATOR_REMOVED, name, str(place), text, evidence, level=Level.WARN)


def _counts(name: str, constants: Values, changes: Sequence[Changed]) -> bool:
    """Whether a constant's value only says how many others there are, or which is the last."""
    others = [value for other, value in constants.items() if not _has_name_of_count(other)]
    if not others or constants[name] not in (max(others), max(others) + 1):
        return False
    if _COUNT.search(name):
        return True
    return _BOUND.search(name) is not None and _stored_at(changes, name) is None


def _has_name_of_count(name: str) -> bool:
    return _COUNT.search(name) is not None or _BOUND.search(name) is not None


def _stored_at(changes: Sequence[Changed], name: str) -> Place | None:
    """Return the first place in the old files that does more with a constant than to compare it,
    to use it as an index or to define it.

    All code that mentions a constant which goes is changed by the patch.
    """
    word = rf"\b{re.escape(name)}\b"
    harmless = re.compile(
        rf"\bcase\s+{word}|\.\.\.\s*{word}|\[\s*{word}\s*\]"
        rf"|{_COMPARISON}\s*\(*{word}|{word}\s*(?:[=!<>]=|<(?!<)|>(?!>))",
        re.ASCII,
    )
    for change in changes:
        text = without_comments(change.old or b"").decode(errors="replace")
        for pattern in (_ENUMERATION, _LITERAL, harmless):
            text = pattern.sub(_without_words, text)
        for number, line in enumerate(lines_of(text.encode()), 1):
            if re.search(word, line, re.ASCII):
                return Place(change.path, number)
    return None


def _without_words(match: re.Match[str]) -> str:
    """Return the line ends of a text, so that what follows keeps its line."""
    return "\n" * match[0].count("\n") or " "
