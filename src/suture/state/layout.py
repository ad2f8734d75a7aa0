# SPDX-License-Identifier: GPL-2.0-or-later
"""Layouts that a patch changes: objects in memory were made with the old one.

New code that reads an object which was allocated before the live patch was loaded finds other
members where it looks, or memory behind the object.  Example: ``struct devkmsg_user``
(kernel/printk/printk.c) gets a new first member; a descriptor of ``/dev/kmsg`` that was opened
before has its sequence number where the new code expects the new member, and a reader blocks for
ever.

===========================================  ==================================================
size, place or type of a member changes       refused
a new member that has to be initialised       refused: old objects never were
a number or pointer in a hole                 warned: old objects hold what was there, often zeros
another name for a member, another number of  silent
the same size, new types, one more way to
read a union
===========================================  ==================================================

For constants of enumerations, see `suture.state.enumerators`.

A structure that only lives on the stacks of replaced functions is no danger: the core switches a
task when none of them is on its stack (kernel/livepatch/transition.c: klp_check_stack()).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from suture.errors import LAYOUT_CHANGED, Finding, Level
from suture.kernel.layouts import Member, Shape, TypeLayout, Types
from suture.state.definitions import declared_as, defined_at, users
from suture.state.enumerators import enumerator_findings
from suture.state.on_stacks import lives_on_stacks
from suture.state.places import Place, mentioned_at
from suture.workspace.applying import Changed

Layouts = tuple[TypeLayout, ...]

MOST_SHOWN = 4
"""How many members and users a finding names."""


@dataclass(frozen=True, slots=True)
class _MemberChange:
    """One difference between two layouts.

    :ivar member: the member that new code would look for in the wrong place.
    """

    text: str
    member: Member
    level: Level = Level.REFUSE


def layout_findings(
    source: str,
    before: Types,
    after: Types,
    changes: Sequence[Changed],
    variables: Iterable[str],
    known: Callable[[str], int | None],
) -> Iterator[Finding]:
    """Compare the types of one object (``layout-changed``).

    :param source: the object's source file.
    :param changes: the files that the patch changes.
    :param variables: names of variables that the object defines and that keep their size.
    :param known: returns the size of a structure in the running kernel's BTF, in bytes, as a second
        witness.
    """
    yield from _of_types(source, before, after, changes, known)
    yield from enumerator_findings(source, before.enumerators, after.enumerators, changes)
    for name in variables:
        old_type, new_type = before.variables.get(name), after.variables.get(name)
        if old_type and new_type and not _is_same_store(old_type, new_type):
            text = f"the variable {name} holds {old_type} and is read as {new_type}"
            place = mentioned_at(changes, name) or Place(source)
            yield Finding(LAYOUT_CHANGED, name, str(place), text)


def _of_types(
    source: str,
    before: Types,
    after: Types,
    changes: Sequence[Changed],
    known: Callable[[str], int | None],
) -> Iterator[Finding]:
    unequal = dict(_unequal(before, after))
    changed = {
        name: (olds[0], news[0])
        for name, (olds, news) in unequal.items()
        if len(olds) == len(news) == 1
    }
    uncertain = unequal.keys() - changed.keys()
    differences = {name: found for name, pair in changed.items() if (found := _differences(*pair))}
    grave = {name for name, found in differences.items() if _is_grave(found)}
    for name, found in differences.items():
        old, new = changed[name]
        within = (grave | uncertain) & (old.contains | new.contains)
        if within and _only_contained_differs(old, new):
            continue  # what it contains is reported
        around = sorted(other for other in grave if name in changed[other][0].contains)
        yield _of_layout(source, changed[name], (before, after), found, changes, around, known)
    for name in sorted(uncertain):
        yield _of_namesakes(source, name, *unequal[name], changes)


def _unequal(before: Types, after: Types) -> Iterator[tuple[str, tuple[Layouts, Layouts]]]:
    """Yield the types of a name that are not alike on both sides.

    Several can have one name: a function may define a type for itself.  Those that are alike are
    the same, and a single one left on each side is the one that changed.  What is left on one side
    alone was added or has gone.
    """
    for name, olds in before.layouts.items():
        news = after.layouts.get(name, ())
        gone, added = Counter(olds) - Counter(news), Counter(news) - Counter(olds)
        if gone and added:
            yield name, (tuple(gone.elements()), tuple(added.elements()))


def _of_namesakes(
    source: str, title: str, olds: Layouts, news: Layouts, changes: Sequence[Changed]
) -> Finding:
    """Refuse a name of several types if it cannot be seen which of them became which."""
    place = defined_at(changes, title) or Place(source)
    text = f"{title}: {len(olds)} of this name change into {len(news)}, and it is not clear which"
    name = title.rpartition(" ")[2]
    remedy = f"Give each {title} a name of its own in the source, or change one of them alone."
    return Finding(LAYOUT_CHANGED, name, str(place), text, (), remedy)


def _only_contained_differs(old: TypeLayout, new: TypeLayout) -> bool:
    """Whether two layouts differ in nothing but what their members contain, so that whoever judges
    that has judged them too.

    Example: ``struct aio_kiocb`` (fs/aio.c) contains a ``struct kiocb``, and grows with it.  With a
    member of its own in addition, it is reported besides.
    """
    return _own_members(old) == _own_members(new)


def _own_members(layout: TypeLayout) -> list[tuple[str, str, int]]:
    """Return the members in order: name, type, and the size in bits of what contains nothing."""
    contains = (Shape.AGGREGATE, Shape.ARRAY)
    return [
        (one.name, one.spelled, 0 if one.shape in contains else one.size) for one in layout.members
    ]


def _is_grave(found: Iterable[_MemberChange]) -> bool:
    return any(one.level is Level.REFUSE for one in found)


def _differences(old: TypeLayout, new: TypeLayout) -> list[_MemberChange]:
    """Return the differences that matter, the gravest first."""
    olds = {member.name: member for member in old.members if member.name}
    news = {member.name: member for member in new.members if member.name}
    found: list[_MemberChange] = []
    for name, member in news.items():
        if name in olds:
            found += _of_member(olds[name], member)
        elif old.size == new.size:
            found += _of_added(member, old, olds, news)
        else:
            found.append(_MemberChange(f"{_shown(member)} is new", member))
    if old.size != new.size and not found:
        found += [
            _MemberChange(f"{_shown(one)} goes", one) for n, one in olds.items() if n not in news
        ]
    if old.size != new.size and not found:
        first = next(iter(news.values()), None)
        found += [_MemberChange("its padding changes", first)] if first else []
    return sorted(found, key=lambda one: one.level is not Level.REFUSE)


def _of_member(old: Member, new: Member) -> Iterator[_MemberChange]:
    if (old.offset, old.size) != (new.offset, new.size):
        if old.offset != new.offset:
            yield _MemberChange(f"{new.name} moves from {_at(old)} to {_at(new)}", new)
        else:
            text = f"{new.name} at {_at(new)} has {old.size} bits and becomes {new.size}"
            yield _MemberChange(text, new)
    elif not _is_same_store(old.spelled, new.spelled):
        text = f"{new.name} at {_at(new)} holds {old.spelled} and is read as {new.spelled}"
        yield _MemberChange(text, new)


def _of_added(
    member: Member, old: TypeLayout, olds: Mapping[str, Member], news: Mapping[str, Member]
) -> Iterator[_MemberChange]:
    """Yield what is dangerous about a new member of a structure that keeps its size.

    Examples: ``struct page`` gets one more member in one of its unions; ``struct nullb_device``
    gets a ``bool`` between ``bool zoned`` and a pointer, where nothing was.
    """
    there = [one for one in old.members if one.offset < member.end and member.offset < one.end]
    if not there:
        if member.shape in (Shape.NUMBER, Shape.POINTER):
            text = f"{_shown(member)} is new, in a hole: objects made before hold what was there"
            yield _MemberChange(text, member, Level.WARN)
        else:
            text = f"{_shown(member)} is new, in a hole: objects made before never initialised it"
            yield _MemberChange(text, member)
    elif member.overlaid and all(one.overlaid and one.name in news for one in there):
        return
    elif all(one.name in news for one in there) and member.overlaid:
        text = f"{_shown(member)} shares the place of {there[0].name} now"
        yield _MemberChange(text, member, Level.WARN)
    elif not _is_renamed(member, there, news):
        yield _MemberChange(
            f"{_shown(member)} takes the place of {there[0].name or 'padding'}", member
        )


def _is_renamed(member: Member, there: Sequence[Member], news: Mapping[str, Member]) -> bool:
    return (
        len(there) == 1
        and there[0].name not in news
        and (there[0].offset, there[0].size) == (member.offset, member.size)
        and _is_same_store(there[0].spelled, member.spelled)
    )


def _is_same_store(old: str, new: str) -> bool:
    """Whether what was stored as one type can be read as another.

    Example: ``int`` and ``unsigned int`` are both "4 bytes"; ``void *`` takes every pointer.
    """
    if old == new:
        return True
    return old.endswith("*") and new.endswith("*") and "void *" in (old, new)


def _of_layout(
    source: str,
    pair: tuple[TypeLayout, TypeLayout],
    sides: tuple[Types, Types],
    found: Sequence[_MemberChange],
    changes: Sequence[Changed],
    around: Sequence[str],
    known: Callable[[str], int | None],
) -> Finding:
    old, new = pair
    name = old.name.rpartition(" ")[2]
    place = defined_at(changes, old.name) or Place(source)
    verb = "grows" if new.size > old.size else "shrinks"
    size = "" if new.size == old.size else f" {verb} from {old.size} to {new.size} bytes"
    text = f"{old.name}{size}: {found[0].text}"
    known_names = {member.name for member in old.members}
    named = [one.member.name for one in found]
    members = [one for one in named if one not in known_names] or named
    evidence = [one.text for one in found[1:MOST_SHOWN]]
    if known(old.name) == old.size:
        evidence.append(f"the kernel's own BTF has {old.name} with {old.size} bytes")
    if around:
        evidence.append(f"it is part of {', '.join(around[:MOST_SHOWN])}")
    touching = list(users(changes, members, of_object=True))[:MOST_SHOWN]
    evidence += [f"used by {one.function}() in {one}" for one in touching if one.function]
    level = found[0].level
    if level is Level.REFUSE and lives_on_stacks(changes, old.name, sides):
        level = Level.NOTE
        text += "; it only lives on stacks of functions, which are replaced as a whole"
    remedy = _remedy(changes, old, found)
    return Finding(LAYOUT_CHANGED, name, str(place), text, tuple(evidence), remedy, level)


def _remedy(changes: Sequence[Changed], old: TypeLayout, found: Sequence[_MemberChange]) -> str:
    """Return the ways out, with the code of a shadow variable (kernel/livepatch/shadow.c)."""
    olds = {member.name for member in old.members}
    member = next((one.member for one in found if one.member.name not in olds), None)
    if member is None:
        return f"Leave {old.name} as it is in the live patch, and change only code."
    kind = declared_as(changes, old.name, member.name) or "TYPE"
    lines = [
        f"Leave {old.name} as it is, and attach the new member to each object as a shadow "
        "variable, with an ID of your own:",
        f"  {kind} *{member.name} = klp_shadow_get_or_alloc(OBJECT, ID, sizeof(*{member.name}), "
        "GFP_KERNEL, NULL, NULL);",
        "and klp_shadow_free(OBJECT, ID, NULL) where the object is freed.",
    ]
    size = member.size // 8
    if hole := next((at for at, length in _holes(old) if length >= size > 0), None):
        lines.append(
            f"Or put it into the hole at +{hole}, if objects made before have zeros there and zero "
            "is right."
        )
    return "\n".join(lines)


def _holes(layout: TypeLayout) -> Iterator[tuple[int, int]]:
    """Yield the holes of a layout: offset and length in bytes."""
    end = 0
    for member in sorted(layout.members, key=lambda one: one.offset):
        if member.offset > end and end:
            yield (end + 7) // 8, (member.offset - end) // 8
        end = max(end, member.end)
    if layout.size * 8 > end:
        yield (end + 7) // 8, (layout.size * 8 - end) // 8


def _shown(member: Member) -> str:
    return f"{member.name} ({member.size // 8 or 1} bytes) at {_at(member)}"


def _at(member: Member) -> str:
    bits = f" bit {member.offset % 8}" if member.offset % 8 else ""
    return f"+{member.offset // 8}{bits}"
