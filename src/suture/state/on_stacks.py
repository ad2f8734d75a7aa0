# SPDX-License-Identifier: GPL-2.0-or-later
"""Structures that only live on the stacks of replaced functions.

The core switches a task when none of these functions is on its stack
(kernel/livepatch/transition.c: klp_check_stack()), so no such object is seen by old and new code.
That is so only as long as nobody else reaches the object: another processor, an interrupt or a
thread may have switched already.  What a structure contains, at any depth, can be such a way, for
the kernel links objects by what they contain, and gets from there to the whole with
``container_of()``.

Examples: ``struct wait_bit_queue_entry`` contains a ``struct wait_queue_entry``, and that a
``struct list_head``; ``struct rcu_synchronize`` contains a ``struct rcu_head``, which BTF knows as
``struct callback_head``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from suture.kernel.layouts import Member, Shape, Types
from suture.state.definitions import defined_at
from suture.workspace.applying import Changed
from suture.workspace.comments import without_comments

SHARED = (
    *("list_head", "hlist_node", "llist_node", "plist_node", "rb_node"),
    *("work_struct", "kthread_work", "irq_work", "call_single_data", "callback_head", "rcu"),
    *("completion", "wait_queue", "timer_list", "hrtimer"),
)
"""Parts of names of structures by which others reach an object that is on a stack."""

_TO_FUNCTION = re.compile(r"\) \*$")


def lives_on_stacks(changes: Sequence[Changed], name: str, sides: Sequence[Types]) -> bool:
    """Whether a structure is defined in a C file, and every use of it is a local variable or a
    parameter that leads to one.

    Example: ``struct scan_control`` (mm/vmscan.c) is filled in by functions that reclaim memory,
    and passed down.  A pointer that comes from elsewhere, as ``struct x *p = data``, may lead
    anywhere.

    :param sides: the types before and after the patch.
    """
    files = [change for change in changes if change.path.endswith(".c") and _defines(change, name)]
    if len(files) != 1 or any(_is_reached(name, files[0], side) for side in sides):
        return False
    others = [change for change in changes if change.path != files[0].path]
    if any(_mentions(one.new, name) for one in others):
        return False
    return all(_only_on_stacks(text, name) for text in (files[0].old or b"", files[0].new))


def _is_reached(name: str, file: Changed, types: Types) -> bool:
    """Whether a structure contains something by which others can reach it."""
    return any(
        any(part in contained for part in SHARED)
        or (not _defines(file, contained) and _leads_back(contained, types))
        for contained in _contained(name, types)
    )


def _contained(name: str, types: Types) -> Iterator[str]:
    """Yield the structures and unions within one, at any depth."""
    seen = {name}
    open_ends = [name]
    while open_ends:
        layouts = types.layouts.get(open_ends.pop(), ())
        inner = sorted(frozenset().union(*(layout.contains for layout in layouts)) - seen)
        seen.update(inner)
        open_ends += inner
        yield from inner


def _leads_back(name: str, types: Types) -> bool:
    """Whether a header's structure has a pointer by which its users come back to an object: to
    another one of its kind, as ``next`` in ``struct wake_q_node``, or to a function that is called
    with it, as ``ki_complete`` in ``struct kiocb``.

    Other pointers lead away: ``mm_walk`` in ``struct reclaim_state``, which the ``struct
    scan_control`` on a stack contains.
    """
    tag = name.rpartition(" ")[2]
    members = [member for layout in types.layouts.get(name, ()) for member in layout.members]
    return any(_is_link(member, tag) for member in members)


def _is_link(member: Member, tag: str) -> bool:
    is_pointer = member.shape is Shape.POINTER
    to_own_kind = member.spelled.split(" *")[0] == tag
    return is_pointer and (to_own_kind or _TO_FUNCTION.search(member.spelled) is not None)


def _defines(change: Changed, name: str) -> bool:
    return defined_at([change], name) is not None


def _mentions(text: bytes, name: str) -> bool:
    return re.search(name.replace(" ", r"\s+") + r"\b", text.decode(errors="replace")) is not None


def _only_on_stacks(source: bytes, name: str) -> bool:
    text = without_comments(source).decode(errors="replace")
    tag = name.replace(" ", r"\s+") + r"\b"
    local = re.compile(rf"^\s+{tag}\s+\w+(\[[^\]]*\])?\s*(=|;|,)", re.ASCII)
    parameter = re.compile(
        rf"[(,]?\s*(const\s+)?{tag}(\s*\*\s*(const\s+)?|\s+)\w+\s*[,)]", re.ASCII
    )
    definition = re.compile(rf"^{tag}\s*(\{{|;|$)", re.ASCII)
    at_top = 0
    for line in text.splitlines():
        found = len(re.findall(tag, line))
        if found:
            good = len(parameter.findall(line))
            if local.match(line) and not at_top:
                good += 1
            if definition.match(line):
                good += 1
            if good < found:
                return False
        at_top = _inside_aggregate(line, at_top)
    return True


def _inside_aggregate(line: str, inside: int) -> int:
    """Whether the next line is inside the braces of a type or an initial value at the top level."""
    if re.match(r"^(static\s+|const\s+|typedef\s+)*(struct|union)\b[^(;]*\{\s*$", line):
        return 1
    return 0 if line.startswith("}") else inside
