# SPDX-License-Identifier: GPL-2.0-or-later
"""Callers that stay as they are although the patch changes them: ``__init`` and ``__exit`` code of
modules.

Their old code calls the old function, which ftrace redirects to the new one.  So the new function
has to take its arguments as the old one did.  Example: a patch gives ``null_destroy_dev()``
(drivers/block/null_blk/main.c) one more argument in front; ``null_exit()`` still passes the device
as the first, and unloading null_blk faults.  The core kernel's ``__init`` code has run, and its
``__exit`` code never runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from suture.diff.comparison import masked
from suture.errors import PROTOTYPE_CHANGED, Finding
from suture.model import VMLINUX
from suture.objects.locals import base
from suture.objects.once_only import is_at_exit, is_once_only
from suture.objects.view import Reference, ToUnit, Unit, View
from suture.verify.plan import ComparedFile

CLONES = ("constprop", "isra", "part")
"""Parts of names that tell of a function with other arguments than the source gives it (GCC's
interprocedural optimisations)."""

KEPT_WHY = (
    "A module's __init and __exit code stays as it is. Its calls are redirected to the new code, "
    "which would find other arguments than it expects."
)

KEPT_REMEDY = (
    "Leave this function's arguments as they are. Add a function with the new ones under a new "
    "name, and call that from the patched code."
)


def runs_old_code(file: ComparedFile, caller: Unit) -> bool:
    """Whether a function of the original object runs unchanged while the live patch is in force."""
    is_module = file.objname != VMLINUX
    return is_module and is_once_only(file.changes.original.view.section(caller))


def stays_as_it_is(file: ComparedFile, caller: Unit) -> str:
    """Return the evidence of such a caller."""
    section = file.changes.original.view.section(caller)
    when = "unloaded" if is_at_exit(section) else "loaded after the live patch"
    return (
        f"{caller.name}() in {file.source} stays as it is, and calls it in the old way when "
        f"{file.objname} is {when}"
    )


def kept_callers(file: ComparedFile) -> Mapping[Unit, list[Unit]]:
    """Map functions of a file to the ``__init`` and ``__exit`` code there that calls them and that
    the patch changes or removes.

    Code that the patch does not change calls the new function as it calls the old one.
    """
    found: dict[Unit, list[Unit]] = defaultdict(list)
    for caller in _kept(file):
        for reference in file.changes.original.view.references(caller):
            function = _called(reference)
            if function is not None and caller not in found[function]:
                found[function].append(caller)
    return found


def other_clones(file: ComparedFile) -> Iterator[Finding]:
    """Find each function that the compiler gives its arguments in another way than before, if code
    that stays calls it (``prototype-changed``).

    Example: a patch uses an argument that GCC had removed, and ``lo_rw_aio.isra.0`` becomes
    ``lo_rw_aio``.  The prototype in the source is the same.
    """
    called = kept_callers(file)
    for before, after in file.changes.changed:
        callers = called.get(before, [])
        if not callers or not (_clone(before) or _clone(after)):
            continue
        others = [one for one in callers if not _calls_alike(file, one, before, after)]
        if _clone(before) != _clone(after) or others:
            yield Finding(
                PROTOTYPE_CHANGED,
                base(after.name),
                f"{file.source}: {base(after.name)}()",
                f"was compiled as {before.name} and becomes {after.name}, with other arguments",
                evidence=tuple(stays_as_it_is(file, caller) for caller in others or callers),
                remedy=KEPT_REMEDY,
                why=KEPT_WHY,
            )


def _kept(file: ComparedFile) -> Iterator[Unit]:
    """Yield the ``__init`` and ``__exit`` functions that are in force and not in the source any
    more."""
    if file.objname == VMLINUX:
        return
    view = file.changes.original.view
    yield from (before for before, _ in file.changes.once_only)
    for unit in view.units:
        if unit.is_function and is_once_only(view.section(unit)) and unit not in file.patched_of:
            yield unit


def _called(reference: Reference) -> Unit | None:
    target = reference.target
    is_call = reference.is_branch and isinstance(target, ToUnit) and not target.offset
    return target.unit if is_call and isinstance(target, ToUnit) else None


def _clone(unit: Unit) -> frozenset[str]:
    return frozenset(unit.name.split(".")[1:]) & frozenset(CLONES)


def _calls_alike(file: ComparedFile, caller: Unit, before: Unit, after: Unit) -> bool:
    """Whether a caller that the patch changes sets up its calls of a function as it did."""
    changed = dict[Unit, Unit](file.changes.once_only).get(caller)
    if changed is None:
        return False
    new = set(_set_ups(file.changes.patched.view, changed, after))
    return all(one in new for one in _set_ups(file.changes.original.view, caller, before))


def _set_ups(view: View, caller: Unit, function: Unit) -> Iterator[bytes]:
    """Yield the code in front of each call of a function, from behind the branch before it, without
    its relocated fields."""
    references = list(view.references(caller))
    code = masked(view.data(caller), references)
    ends = [
        one.end
        for one in view.obj.arch.decoding.instructions(view.data(caller))
        if one.target is not None
    ]
    for reference in references:
        if _called(reference) == function:
            start = max((end for end in ends if end <= reference.offset), default=0)
            yield code[start : reference.offset]
