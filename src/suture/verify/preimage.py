# SPDX-License-Identifier: GPL-2.0-or-later
"""Proof that a function compiled here is the one in the shipped kernel.

Outside relocated fields the bytes must be equal.  The linked fields hold the address of everything
that the function refers to: each must lead to a symbol of the right name, and each string to the
same text.  This also identifies the right one of several symbols with one name (Ksplice's run-pre
matching).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TypeVar

from suture.arch.machine import ByteOrder
from suture.diff.changes import cold_part
from suture.diff.comparison import masked
from suture.diff.line_numbers import BUG_TABLE
from suture.elf.object import SHT_NOBITS
from suture.objects.locals import base
from suture.objects.view import Reference, ToAnonymous, ToLiteral, ToUndefined, ToUnit, Unit, View
from suture.verify import lockstep
from suture.verify.nops import as_shipped
from suture.verify.shipped import Shipped

T = TypeVar("T")

HERE = b"./"

EVIDENCE = 16
"""Bytes of differing data to show."""


@dataclass(frozen=True, slots=True)
class Match:
    """A function or variable of the original object, found in the shipped kernel.

    :ivar units: address of every unit of the original object that it refers to, and its own.
    :ivar undefined: address of every symbol of other objects that it refers to.
    """

    function: Unit
    address: int
    units: Mapping[Unit, int]
    undefined: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The reason why a place in the shipped kernel does not hold a function or variable.

    :ivar offset: of the first difference, from its start.
    :ivar what: the difference, in words.
    """

    offset: int
    what: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """What is learned while a function is compared.

    :ivar units: see `Match`, as `undefined`.
    :ivar offsets: function -> offset of each of its instructions -> offset in the shipped function;
        for those of which instructions are at other offsets there.  A ``.cold`` part jumps back
        into the middle of its function.
    """

    units: dict[Unit, int]
    undefined: dict[str, int] = field(default_factory=dict)
    offsets: dict[Unit, Mapping[int, int]] = field(default_factory=dict)


def match_at(view: View, function: Unit, shipped: Shipped, address: int) -> Match | Mismatch:
    """Compare a function and its ``.cold`` part with the shipped code at an address.

    Example: ``cpuset_hotplug_workfn()`` (kernel/cgroup/cpuset.c) refers to ``new_cpus.4``.  Its own
    bytes and names must match, and the linked fields then give the address of that variable, of
    which the symbol table has two (``new_cpus.1`` belongs to ``cpuset_hotplug_update_tasks()``).
    """
    found = _Found({function: address})
    mismatch = _match(view, function, shipped, address, found)
    if mismatch is None and (cold := cold_part(view, function)) is not None and cold in found.units:
        mismatch = _match(view, cold, shipped, found.units[cold], found)
    return Match(function, address, found.units, found.undefined) if mismatch is None else mismatch


def match_data(view: View, unit: Unit, shipped: Shipped, address: int) -> Match | Mismatch:
    """Compare a variable with the shipped data at an address; pointers by their targets.

    A variable without contents (``.bss``) matches by name if the shipped kernel holds none either.
    """
    found = _Found({unit: address})
    references = list(view.references(unit))
    ours = view.data(unit)
    theirs = shipped.read(address, len(ours))
    if theirs is None and view.section(unit).type == SHT_NOBITS:
        return Match(unit, address, found.units, found.undefined)
    if theirs is None or len(theirs) < len(ours):
        return Mismatch(0, f"{shipped.objname} holds no data at {address:#x}")
    left, right = masked(ours, references), masked(theirs, references)
    offset = next((at for at, (a, b) in enumerate(zip(left, right, strict=True)) if a != b), None)
    if offset is not None:
        end = offset + EVIDENCE
        evidence = _evidence(left[offset:end].hex(" "), right[offset:end].hex(" "))
        return Mismatch(
            offset, f"differs from the shipped kernel at {unit.name}+{offset:#x}", evidence
        )
    for reference in references:
        place = _linked_address(reference, theirs, address, view.obj.machine.order)
        wrong = _wrong_target(view, shipped, reference, place, found)
        if wrong is not None:
            return Mismatch(reference.offset, f"{unit.name}+{reference.offset:#x} {wrong}")
    return Match(unit, address, found.units, found.undefined)


def _match(
    view: View, unit: Unit, shipped: Shipped, address: int, found: _Found
) -> Mismatch | None:
    ours, references = as_shipped(view, unit)
    theirs = shipped.read(address, len(ours))
    if theirs is None:
        return Mismatch(0, f"{shipped.objname} holds no code at {address:#x}")
    if len(ours) == len(theirs) and masked(ours, references) == masked(theirs, references):
        order = view.obj.machine.order
        places = {r.offset: _linked_address(r, theirs, address, order) for r in references}
    else:
        fields = {r.offset: r.kind for r in references}
        # Theirs may be the longer one, where it needs more no-ops to align its loops.
        theirs = shipped.read(address, 2 * len(ours) + lockstep.WIDEST) or theirs
        result = lockstep.compare(
            view.obj.arch.decoding, ours, theirs, address, fields, start=unit.start
        )
        if isinstance(result, lockstep.Difference):
            return Mismatch(
                result.offset,
                f"differs from the shipped kernel at {unit.name}()+{result.offset:#x}",
                _evidence(result.ours, result.theirs),
            )
        order = view.obj.machine.order
        places = {
            r.offset: _shifted_address(r, result.fields[r.offset], theirs, address, order)
            for r in references
        }
        found.offsets[unit] = result.offsets
    for reference in references:
        wrong = _wrong_target(view, shipped, reference, places[reference.offset], found)
        if wrong is not None:
            instructions = lockstep.pair_at(
                view.obj.arch.decoding, ours, theirs, address, reference.offset, start=unit.start
            )
            return Mismatch(
                reference.offset,
                f"{unit.name}()+{reference.offset:#x} {wrong}",
                _evidence(*instructions),
            )
    return None


def _evidence(ours: str, theirs: str) -> tuple[str, str]:
    return f"compiled here: {ours}", f"shipped:       {theirs}"


def _linked_address(reference: Reference, theirs: bytes, place: int, order: ByteOrder) -> int:
    """Return the address that a linked field refers to."""
    value = reference.kind.read(theirs, reference.offset, order)
    if reference.kind.pc_relative:
        value += place + reference.offset + reference.bias
    return value % 2**64


def _shifted_address(
    reference: Reference, field: lockstep.Field, theirs: bytes, place: int, order: ByteOrder
) -> int:
    """Return the same where the field is at another offset in the shipped code."""
    if field.branch_target is not None:
        return field.branch_target
    return _linked_address(reference._replace(offset=field.offset), theirs, place, order)


def _wrong_target(
    view: View,
    shipped: Shipped,
    reference: Reference,
    place: int,
    found: _Found,
) -> str | None:
    """Return why the address in a field is wrong; if it is right, record it and return None."""
    match reference.target:
        case ToUndefined(name, offset):
            return _record_address(shipped, found.undefined, name, name, (place - offset) % 2**64)
        case ToUnit(unit, offset):
            there = found.offsets.get(unit, {}).get(offset, offset)
            return _record_address(shipped, found.units, unit, unit.name, (place - there) % 2**64)
        case ToLiteral(_, content, offset):
            theirs = shipped.read(place - offset, len(content))
            if theirs != content:
                ours, other = _quoted(content), _quoted(theirs or b"")
                return f"refers to {ours} here and to {other} in {shipped.objname}"
        case ToAnonymous() as target:
            section = view.obj.sections[target.section].name
            if section == BUG_TABLE:
                return _wrong_report(view, target, shipped, place)
            is_constant = section.startswith(".rodata")
            if is_constant and not _same_constant(view, target, shipped, place):
                here = f"{section}+{target.offset:#x}"
                return f"refers to other constants in {shipped.objname} than to {here} here"
    return None


def _wrong_report(view: View, target: ToAnonymous, shipped: Shipped, address: int) -> str | None:
    """Return why the ``struct bug_entry`` at an address does not report what ours does.

    Since 6.19, ``WARN_ONCE(size > 9, "size %d\\n", size)`` has its format there; the format and
    the name of the file are compared.  A header is ``./include/net/sctp/sctp.h`` here, and
    ``include/net/sctp/sctp.h`` where the kernel was built outside its source.
    """
    end = view.obj.sections[target.section].size
    _, *references = view.references_in(target.section, target.offset, end)
    # The next entry begins with its own place in code.
    texts = list(takewhile(lambda one: isinstance(one.target, ToLiteral), references))
    for text in texts:
        theirs = shipped.read(address, text.offset + text.kind.size)
        if theirs is None:
            return f"refers to {BUG_TABLE} here and to {address:#x} in {shipped.objname}"
        place = _linked_address(text, theirs, address, view.obj.machine.order)
        wrong = _wrong_target(view, shipped, text, place, _Found({}))
        if wrong is not None and not _is_same_path(shipped, text.target, place):
            return wrong
    return None


def _is_same_path(shipped: Shipped, target: object, place: int) -> bool:
    """Whether a literal that begins with ``./`` is that path without it in the shipped kernel."""
    match target:
        case ToLiteral(_, content, 0) if content.startswith(HERE):
            path = content.removeprefix(HERE)
            return shipped.read(place, len(path)) == path
    return False


def _same_constant(view: View, target: ToAnonymous, shipped: Shipped, address: int) -> bool:
    """Compare an unnamed constant up to the next one; zeros at its end may be padding."""
    data = view.obj.sections[target.section].data
    end = view.following(target)
    references = list(view.references_in(target.section, target.offset, end))
    ours = masked(data[target.offset : end], references)
    size = len(ours.rstrip(b"\0"))
    theirs = shipped.read(address, size)
    return theirs is not None and masked(theirs, references)[:size] == ours[:size]


def _record_address(
    shipped: Shipped, known: dict[T, int], key: T, name: str, address: int
) -> str | None:
    """Record the address of a symbol; return why it cannot be, if it has another address or name.

    Names are compared without the compiler's numbers: ``new_cpus.4`` and ``new_cpus.1`` are both
    ``new_cpus``, and other fields must agree on the address.
    """
    if known.setdefault(key, address) != address:
        both = f"{known[key]:#x} and {address:#x}"
        return f"refers to {name} at two places in {shipped.objname}, {both}"
    names = shipped.names(address)
    if base(name) not in {base(other) for other in names}:
        theirs = " or ".join(names) or f"{address:#x}"
        return f"refers to {name} here and to {theirs} in {shipped.objname}"
    return None


def _quoted(content: bytes) -> str:
    shown = content.rstrip(b"\0").decode("utf-8", "backslashreplace")
    return repr(shown if len(shown) <= 60 else shown[:57] + "...")
