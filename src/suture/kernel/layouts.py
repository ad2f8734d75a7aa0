# SPDX-License-Identifier: GPL-2.0-or-later
"""Layouts of structures and unions, enumerators and types of variables, from BTF
(Documentation/bpf/btf.rst).

Types are compared by how they are spelled: a pointer to a structure by the structure's name, a
member that is a structure by its name and size, a number by its size.  Typedefs and qualifiers are
left out.  Members of unnamed structures and unions count as members of what contains them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from suture.elf.object import WORD
from suture.errors import TYPES_MALFORMED, Refusal
from suture.kernel.btf import (
    ARRAY,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    PTR,
    STRUCT,
    TYPEDEF,
    UNION,
    VAR,
    VOID,
    Btf,
)

DEEPEST = 16
"""How many levels of unnamed members, arrays and pointers are followed."""


class Shape(Enum):
    """What is stored in a member."""

    NUMBER = "number"
    POINTER = "pointer"
    ARRAY = "array"
    AGGREGATE = "aggregate"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a structure or union.

    :ivar name: its name; "" for a bit field without one.
    :ivar offset: in bits from the start; `size`: in bits.
    :ivar spelled: its type; equal where two types are stored in the same way.
    :ivar overlaid: it is in a union, so that others share its place.
    """

    name: str
    offset: int
    size: int
    spelled: str
    shape: Shape
    overlaid: bool = False

    @property
    def end(self) -> int:
        """The first bit behind it."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class TypeLayout:
    """The layout of a named structure or union.

    :ivar size: in bytes.
    :ivar contains: the named structures and unions among its members, in arrays of them, and in
        members whose types have no name.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    contains: frozenset[str]


@dataclass(frozen=True, slots=True)
class Enumerator:
    """A constant of an enumeration.

    :ivar of: the enumeration: ``enum NAME``, or ``enum { FIRST, ... }`` without a name.
    """

    of: str
    value: int


@dataclass(frozen=True, slots=True)
class Types:
    """All named types of one object.

    :ivar layouts: ``struct NAME``, ``union NAME`` or the name of a typedef -> the layouts of that
        name, of which there are several where functions have types of their own.
    :ivar enumerators: name -> constant.
    :ivar variables: global and static variables of files: name -> spelled type.
    """

    layouts: dict[str, tuple[TypeLayout, ...]]
    enumerators: dict[str, Enumerator]
    variables: dict[str, str]


def read(btf: Btf) -> Types:
    """Read the types of an object; those of a base are left out.

    :raises Refusal: ``types-malformed``
    """
    try:
        return _Reader(btf).types()
    except (struct.error, IndexError, RecursionError) as error:
        raise Refusal(TYPES_MALFORMED, btf.where, f"its BTF is truncated ({error})") from error


class _Reader:
    """Reads types, and remembers how they are spelled."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._spelled: dict[int, tuple[str, int, Shape]] = {}
        self._typedefs = dict(self._named_by_typedefs())

    def _named_by_typedefs(self) -> Iterator[tuple[int, str]]:
        """Yield unnamed structures and unions that a typedef names, as ``Node`` of
        fs/binfmt_misc.c."""
        for _, kind, name, value in self._btf.own():
            if kind == TYPEDEF:
                found = self._btf[value]
                if found.kind in (STRUCT, UNION) and not found.name:
                    yield value, name

    def _title(self, number: int) -> str:
        """Return the name of a structure or union, with its keyword; "" if it has none."""
        found = self._btf[number]
        if not found.name:
            return self._typedefs.get(number, "")
        return f"{'union' if found.kind == UNION else 'struct'} {found.name}"

    def types(self) -> Types:
        """Return all named types."""
        layouts: dict[str, tuple[TypeLayout, ...]] = {}
        enumerators: dict[str, Enumerator] = {}
        variables: dict[str, str] = {}
        for number, kind, name, value in self._btf.own():
            if kind in (STRUCT, UNION) and self._title(number):
                layout = self._layout(number, kind, value)
                layouts[layout.name] = (*layouts.get(layout.name, ()), layout)
            elif kind in (ENUM, ENUM64):
                enumerators |= self._enumerators(number, name)
            elif kind == VAR and name:
                spelled = self.spelled(value)[0]
                # A declaration such as "extern char devkmsg_log_str[];" says less.
                if name not in variables or not spelled.endswith("[0]"):
                    variables[name] = spelled
        return Types(layouts, enumerators, variables)

    def _layout(self, number: int, kind: int, size: int) -> TypeLayout:
        contains: set[str] = set()
        members = tuple(self._members(number, 0, kind == UNION, contains, 0))
        return TypeLayout(self._title(number), size, members, frozenset(contains))

    def _members(
        self, number: int, base: int, overlaid: bool, contains: set[str], depth: int
    ) -> Iterator[Member]:
        for name, of, offset, bits in self._btf.members(number):
            plain = self._btf.plain(of)
            inner = self._btf[plain]
            if not name and inner.kind in (STRUCT, UNION) and depth < DEEPEST:
                within = overlaid or inner.kind == UNION
                yield from self._members(plain, base + offset, within, contains, depth + 1)
                continue
            spelled, size, shape = self.spelled(plain)
            if shape is not Shape.POINTER:
                self._add_contained(plain, contains, depth)
            yield Member(name, base + offset, bits or 8 * size, spelled, shape, overlaid)

    def _add_contained(self, number: int, contains: set[str], depth: int) -> None:
        found = self._btf[number]
        for _ in range(DEEPEST):
            if found.kind != ARRAY:
                break
            number = self._btf.plain(self._btf.array(number)[0])
            found = self._btf[number]
        if found.kind in (STRUCT, UNION):
            if title := self._title(number):
                contains.add(title)
            elif depth < DEEPEST:  # struct { struct list_head list; } queue[2];
                for _ in self._members(number, 0, False, contains, depth + 1):
                    pass

    def spelled(self, number: int, depth: int = 0) -> tuple[str, int, Shape]:
        """Return how a type is spelled, its size in bytes, and what is stored."""
        number = self._btf.plain(number)
        if number not in self._spelled:
            self._spelled[number] = self._spell(number, depth)
        return self._spelled[number]

    def _spell(self, number: int, depth: int) -> tuple[str, int, Shape]:
        found = self._btf[number]
        match found.kind:
            case k if k in (INT, ENUM, ENUM64, FLOAT):
                unit = "byte" if found.value == 1 else "bytes"
                return f"{found.value} {unit}", found.value, Shape.NUMBER
            case k if k == PTR:
                return f"{self._pointee(found.value, depth + 1)} *", WORD, Shape.POINTER
            case k if k == ARRAY:
                element, count = self._btf.array(number)
                inner, size, _ = self.spelled(element, depth + 1)
                return f"{inner}[{count}]", size * count, Shape.ARRAY
            case k if k in (STRUCT, UNION):
                title = self._title(number) or self._unnamed(number, found.kind, depth)
                return title, found.value, Shape.AGGREGATE
        return self._pointee(number, depth + 1), 0, Shape.NUMBER

    def _pointee(self, number: int, depth: int) -> str:
        number = self._btf.plain(number)
        found = self._btf[number]
        if found.kind == VOID or depth > DEEPEST:
            return "void"
        if found.kind in (STRUCT, UNION, FWD) and found.name:
            return found.name
        if number in self._typedefs:
            return self._typedefs[number]
        if found.kind == FUNC_PROTO:
            prototype = self._btf.prototype(number)
            parameters = [self._pointee(one, depth + 1) for one in prototype.parameters]
            return f"{self._pointee(prototype.returns, depth + 1)} ({', '.join(parameters)})"
        if found.kind == PTR:
            return f"{self._pointee(found.value, depth + 1)} *"
        return self.spelled(number, depth + 1)[0]

    def _unnamed(self, number: int, kind: int, depth: int) -> str:
        if depth > DEEPEST:
            return "{...}"
        members = self._members(number, 0, kind == UNION, set(), depth + 1)
        return "{" + "; ".join(f"{one.spelled} {one.name}:{one.offset}" for one in members) + "}"

    def _enumerators(self, number: int, name: str) -> dict[str, Enumerator]:
        values = dict(self._btf.enumerators(number))
        title = f"enum {name}" if name else f"enum {{ {next(iter(values), '')}, ... }}"
        return {constant: Enumerator(title, value) for constant, value in values.items()}
