# SPDX-License-Identifier: GPL-2.0-or-later
"""The first proof: a function that was compiled here is the one in the shipped kernel.

Outside relocated fields the bytes must be equal.  Inside, the linked fields give away the address
of everything that the function refers to; each must lead to a symbol of the right name, and each
string to the same text.  That also finds with certainty which of several symbols of one name is
meant (Ksplice's run-pre matching).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from suture.arch.machine import ByteOrder
from suture.diff.changes import cold_part
from suture.diff.comparison import masked
from suture.elf.object import SHT_NOBITS
from suture.objects.locals import base
from suture.objects.view import Reference, ToAnonymous, ToLiteral, ToUndefined, ToUnit, Unit, View
from suture.verify import lockstep
from suture.verify.nops import as_shipped
from suture.verify.shipped import Shipped

T = TypeVar("T")

EVIDENCE = 16
"""Bytes of differing data to show."""


@dataclass(frozen=True, slots=True)
class Match:
    """A function of the original object that is in the shipped kernel.

    :ivar address: where it is.
    :ivar units: address of every unit of the original object that it refers to, itself included.
    :ivar undefined: address of every symbol of other objects that it refers to.
    """

    function: Unit
    address: int
    units: Mapping[Unit, int]
    undefined: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a place in the shipped kernel does not hold the function.

    :ivar offset: of the first difference, from the function's start.
    """

    offset: int
    what: str
    evidence: tuple[str, ...] = ()


def match_at(view: View, function: Unit, shipped: Shipped, address: int) -> Match | Mismatch:
    """Compare a function, with its ``.cold`` part, to what stands at an address."""
    units: dict[Unit, int] = {function: address}
    undefined: dict[str, int] = {}
    mismatch = _match(view, function, shipped, address, units, undefined)
    if mismatch is None and (cold := cold_part(view, function)) is not None and cold in units:
        mismatch = _match(view, cold, shipped, units[cold], units, undefined)
    return Match(function, address, units, undefined) if mismatch is None else mismatch


def match_data(view: View, unit: Unit, shipped: Shipped, address: int) -> Match | Mismatch:
    """Compare a variable's contents, pointers by what they lead to, to what stands at an address.

    One without contents (``.bss``) is compared by address alone where the shipped kernel holds none
    either.
    """
    units: dict[Unit, int] = {unit: address}
    undefined: dict[str, int] = {}
    references = list(view.references(unit))
    ours = view.data(unit)
    theirs = shipped.read(address, len(ours))
    if theirs is None and view.section(unit).type == SHT_NOBITS:
        return Match(unit, address, units, undefined)
    if theirs is None or len(theirs) < len(ours):
        return Mismatch(0, f"{shipped.objname} holds no data at {address:#x}")
    left, right = masked(ours, references), masked(theirs, references)
    offset = next((at for at, (a, b) in enumerate(zip(left, right, strict=True)) if a != b), None)
    if offset is not None:
        end = offset + EVIDENCE
        evidence = _both(left[offset:end].hex(" "), right[offset:end].hex(" "))
        return Mismatch(
            offset, f"differs from the shipped kernel at {unit.name}+{offset:#x}", evidence
        )
    for reference in references:
        found = _address(reference, theirs, address, view.obj.machine.order)
        wrong = _wrong_target(view, shipped, reference, found, units, undefined)
        if wrong is not None:
            return Mismatch(reference.offset, f"{unit.name}+{reference.offset:#x} {wrong}")
    return Match(unit, address, units, undefined)


def _match(
    view: View,
    unit: Unit,
    shipped: Shipped,
    address: int,
    units: dict[Unit, int],
    undefined: dict[str, int],
) -> Mismatch | None:
    ours, references = as_shipped(view, unit)
    theirs = shipped.read(address, len(ours))
    if theirs is None:
        return Mismatch(0, f"{shipped.objname} holds no code at {address:#x}")
    if len(ours) == len(theirs) and masked(ours, references) == masked(theirs, references):
        order = view.obj.machine.order
        found = {r.offset: _address(r, theirs, address, order) for r in references}
    else:
        fields = {r.offset: r.kind for r in references}
        result = lockstep.compare(view.obj.arch.decoding, ours, theirs, address, fields)
        if isinstance(result, lockstep.Difference):
            return Mismatch(
                result.offset,
                f"differs from the shipped kernel at {unit.name}()+{result.offset:#x}",
                _both(result.ours, result.theirs),
            )
        order = view.obj.machine.order
        found = {r.offset: _found(r, result[r.offset], theirs, address, order) for r in references}
    for reference in references:
        wrong = _wrong_target(view, shipped, reference, found[reference.offset], units, undefined)
        if wrong is not None:
            instructions = lockstep.pair_at(
                view.obj.arch.decoding, ours, theirs, address, reference.offset
            )
            return Mismatch(
                reference.offset,
                f"{unit.name}()+{reference.offset:#x} {wrong}",
                _both(*instructions),
            )
    return None


def _both(ours: str, theirs: str) -> tuple[str, str]:
    return f"compiled here: {ours}", f"shipped:       {theirs}"


def _address(reference: Reference, theirs: bytes, place: int, order: ByteOrder) -> int:
    """The address that a linked field refers to."""
    value = reference.kind.read(theirs, reference.offset, order)
    if reference.kind.pc_relative:
        value += place + reference.offset + reference.bias
    return value % 2**64


def _found(
    reference: Reference, field: lockstep.Field, theirs: bytes, place: int, order: ByteOrder
) -> int:
    """The same where the shipped code is laid out differently."""
    if field.branch_target is not None:
        return field.branch_target
    return _address(reference._replace(offset=field.offset), theirs, place, order)


def _wrong_target(
    view: View,
    shipped: Shipped,
    reference: Reference,
    found: int,
    units: dict[Unit, int],
    undefined: dict[str, int],
) -> str | None:
    """What is wrong about the address that a field leads to; None, and the address noted, if
    nothing is."""
    match reference.target:
        case ToUndefined(name, offset):
            return _note(shipped, undefined, name, name, (found - offset) % 2**64)
        case ToUnit(unit, offset):
            return _note(shipped, units, unit, unit.name, (found - offset) % 2**64)
        case ToLiteral(_, content, offset):
            theirs = shipped.read(found - offset, len(content))
            if theirs != content:
                return f"refers to {_text(content)} here and to {_text(theirs or b'')} in {shipped.objname}"
        case ToAnonymous() as target if view.obj.sections[target.section].name.startswith(
            ".rodata"
        ):
            if not _same_constant(view, target, shipped, found):
                place = f"{view.obj.sections[target.section].name}+{target.offset:#x}"
                return f"refers to other constants in {shipped.objname} than to {place} here"
    return None


def _same_constant(view: View, target: ToAnonymous, shipped: Shipped, address: int) -> bool:
    """Compare an unnamed constant up to the next one; zeros at its end may be the room between the
    two."""
    data = view.obj.sections[target.section].data
    end = view.following(target)
    references = list(view.references_in(target.section, target.offset, end))
    ours = masked(data[target.offset : end], references)
    size = len(ours.rstrip(b"\0"))
    theirs = shipped.read(address, size)
    return theirs is not None and masked(theirs, references)[:size] == ours[:size]


def _note(shipped: Shipped, known: dict[T, int], key: T, name: str, address: int) -> str | None:
    if known.setdefault(key, address) != address:
        return (
            f"refers to {name} at two places in {shipped.objname}, {known[key]:#x} and {address:#x}"
        )
    names = shipped.names(address)
    if base(name) not in {base(other) for other in names}:
        return f"refers to {name} here and to {' or '.join(names) or f'{address:#x}'} in {shipped.objname}"
    return None


def _text(content: bytes) -> str:
    shown = content.rstrip(b"\0").decode("utf-8", "backslashreplace")
    return repr(shown if len(shown) <= 60 else shown[:57] + "...")
