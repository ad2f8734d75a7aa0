# SPDX-License-Identifier: GPL-2.0-or-later
"""Types from BTF (Documentation/bpf/btf.rst): of the kernel, of its modules, and of objects that
were compiled here.

A module's BTF continues the kernel's ("split BTF"): its first type has the number after the
kernel's last, and its strings begin where the kernel's end (``kernel/bpf/btf.c:
btf_parse_module()``).
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from suture.errors import TYPES_MALFORMED, Refusal
from suture.kernel.types import FIXED, LAST_KIND, MAGIC, PER_MEMBER, prefix

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO = (
    range(1, 14)
)
VAR, FLOAT, TYPE_TAG, ENUM64 = 14, 16, 18, 19
QUALIFIERS = {VOLATILE, CONST, RESTRICT, TYPE_TAG}

VOID = 0
"""The type number of ``void``."""


@dataclass(frozen=True, slots=True)
class Type:
    """One ``struct btf_type``; its kind decides whether `value` is a size in bytes or the number of
    another type."""

    kind: int
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class BtfPrototype:
    """A function's type: the numbers of its result's and its parameters' types."""

    returns: int
    parameters: tuple[int, ...]


class Btf:
    """The types in one ``.BTF``.

    :param where: its name in messages.
    :param base: the kernel's BTF, for a module's.
    :raises Refusal: ``types-malformed``
    """

    def __init__(self, data: bytes, where: str, base: Btf | None = None) -> None:
        self._data, self._where, self._base = data, where, base
        self._prefix = prefix(data)
        self._strings_end: int = 0
        self._first = len(base) if base else 1
        self._strings_before: int = base._strings_end if base else 0
        try:
            self._read()
        except (struct.error, IndexError) as error:
            raise Refusal(TYPES_MALFORMED, where, f"its BTF is truncated ({error})") from error

    def _read(self) -> None:
        # struct btf_header: magic, version, flags, hdr_len, type_off, type_len, str_off, str_len
        magic, _, _, header, type_off, type_len, str_off, str_len = struct.unpack_from(
            f"{self._prefix}HBBIIIII", self._data
        )
        if magic != MAGIC:
            raise Refusal(TYPES_MALFORMED, self._where, f"its BTF begins with {magic:#x}")
        self._strings = self._data[header + str_off : header + str_off + str_len]
        self._strings_end = self._strings_before + len(self._strings)
        self._offsets: list[int] = []
        self._functions: dict[int, list[int]] = defaultdict(list)
        self._typedefs: dict[int, list[int]] = defaultdict(list)
        position, end = header + type_off, header + type_off + type_len
        unpack = struct.Struct(f"{self._prefix}III").unpack_from
        while position < end:
            name, info, _ = unpack(self._data, position)
            kind = info >> 24 & 0x1F
            if kind > LAST_KIND or not kind:
                raise Refusal(
                    TYPES_MALFORMED, self._where, f"its BTF has a type of unknown kind {kind}"
                )
            if kind == FUNC:
                self._functions[name].append(self._first + len(self._offsets))
            elif kind in (TYPEDEF, INT):
                self._typedefs[name].append(self._first + len(self._offsets))
            self._offsets.append(position)
            position += 12 + FIXED.get(kind, 0) + PER_MEMBER.get(kind, 0) * (info & 0xFFFF)

    def __len__(self) -> int:
        """The number of types, with ``void`` and the types of `base`."""
        return self._first + len(self._offsets)

    def functions(self, name: str) -> tuple[BtfPrototype, ...]:
        """Return the prototypes of all functions of a name, each once."""
        numbers: list[int] = []
        for offset in self._offsets_of(name):
            numbers += self._functions.get(offset, ())
        return tuple(dict.fromkeys(self.prototype(self[number].value) for number in numbers))

    def named_functions(self) -> Iterator[tuple[str, int]]:
        """Yield the name and the number of the ``BTF_KIND_FUNC_PROTO`` of each function here."""
        for offset, numbers in self._functions.items():
            for number in numbers:
                yield self._string(offset), self[number].value

    def integer(self, name: str) -> int | None:
        """Return the number of the typedef or basic type of a name, or None."""
        for offset in self._offsets_of(name):
            if offset in self._typedefs:
                return self._typedefs[offset][0]
        return self._base.integer(name) if self._base else None

    def _offsets_of(self, name: str) -> Iterator[int]:
        """Yield the offsets of a string: a module's names can be among the kernel's strings."""
        if self._base is not None:
            yield from self._base._offsets_of(name)
        position = self._strings.find(b"\0" + name.encode() + b"\0") + 1
        if position:
            yield position + self._strings_before

    def __getitem__(self, number: int) -> Type:
        if number < self._first:
            if self._base is None or not number:
                return Type(VOID, "void", 0)
            return self._base[number]
        try:
            name, info, value = struct.unpack_from(
                f"{self._prefix}III", self._data, self._offsets[number - self._first]
            )
        except IndexError:
            raise Refusal(
                TYPES_MALFORMED,
                self._where,
                f"its BTF refers to type {number}, which does not exist",
            ) from None
        return Type(info >> 24 & 0x1F, self._string(name), value)

    def prototype(self, number: int) -> BtfPrototype:
        """Return the prototype that a ``BTF_KIND_FUNC_PROTO`` describes."""
        if self._base is not None and number < self._first:
            return self._base.prototype(number)
        try:
            position = self._offsets[number - self._first]
            _, info, returns = struct.unpack_from(f"{self._prefix}III", self._data, position)
            places = range(position + 12, position + 12 + 8 * (info & 0xFFFF), 8)
            return BtfPrototype(
                returns,
                tuple(
                    struct.unpack_from(f"{self._prefix}II", self._data, place)[1]
                    for place in places
                ),
            )
        except (struct.error, IndexError) as error:
            raise Refusal(
                TYPES_MALFORMED, self._where, f"its BTF has no function type {number}"
            ) from error

    @property
    def where(self) -> str:
        """Its name in messages."""
        return self._where

    def own(self) -> Iterator[tuple[int, int, str, int]]:
        """Yield the types that are not of the base: number, kind, name, size or type."""
        unpack = struct.Struct(f"{self._prefix}III").unpack_from
        for index, position in enumerate(self._offsets):
            name, info, value = unpack(self._data, position)
            yield self._first + index, info >> 24 & 0x1F, self._string(name), value

    def members(self, number: int) -> Iterator[tuple[str, int, int, int]]:
        """Yield the members of a structure or union: name, type, offset in bits, and the width of a
        bit field in bits or 0."""
        if number < self._first:
            if self._base is not None:
                yield from self._base.members(number)
            return
        position, count, flagged = self._described(number)
        unpack = struct.Struct(f"{self._prefix}III").unpack_from
        for place in range(position, position + 12 * count, 12):
            name, of, offset = unpack(self._data, place)
            # btf.rst: with kind_flag, bits 24-31 are the width of a bit field.
            width = offset >> 24 if flagged else 0
            yield self._string(name), of, offset & 0xFFFFFF if flagged else offset, width

    def array(self, number: int) -> tuple[int, int]:
        """Return the element type and the number of elements of an array."""
        if number < self._first and self._base is not None:
            return self._base.array(number)
        position, _, _ = self._described(number)
        element, _, count = struct.unpack_from(f"{self._prefix}III", self._data, position)
        return element, count

    def enumerators(self, number: int) -> Iterator[tuple[str, int]]:
        """Yield the constants of an enumeration: name and value."""
        position, count, _ = self._described(number)
        wide = self[number].kind == ENUM64
        for place in range(position, position + (12 if wide else 8) * count, 12 if wide else 8):
            name, low = struct.unpack_from(f"{self._prefix}Ii", self._data, place)
            if wide:
                low, high = struct.unpack_from(f"{self._prefix}Ii", self._data, place + 4)
                low = (low & 0xFFFFFFFF) | high << 32
            yield self._string(name), low

    def _described(self, number: int) -> tuple[int, int, bool]:
        """Return where the description behind ``struct btf_type`` begins, the number of its
        entries, and its kind_flag."""
        position = self._offsets[number - self._first]
        (info,) = struct.unpack_from(f"{self._prefix}I", self._data, position + 4)
        return position + 12, info & 0xFFFF, bool(info >> 31)

    def plain(self, number: int) -> int:
        """Return the number of the type behind typedefs and qualifiers."""
        for _ in range(64):
            kind = self[number].kind
            if kind not in QUALIFIERS and kind != TYPEDEF:
                return number
            number = self[number].value
        raise Refusal(TYPES_MALFORMED, self._where, "its BTF has a type that is defined by itself")

    def spelled(self, number: int) -> str:
        """Return a type in C's spelling, for messages."""
        return "".join(self._spell(number, 0))

    def _spell(self, number: int, depth: int) -> Iterator[str]:
        found = self[number]
        if depth > 16:
            yield "..."
        elif found.kind == PTR:
            inner = self._spelled_at(found.value, depth + 1)
            yield inner if "(*" in inner else f"{inner}{'' if inner.endswith('*') else ' '}*"
        elif found.kind in (STRUCT, UNION, ENUM, ENUM64, FWD):
            keyword = {UNION: "union", ENUM: "enum", ENUM64: "enum"}.get(found.kind, "struct")
            yield f"{keyword} {found.name or '{...}'}"
        elif found.kind == FUNC_PROTO:
            yield "function (*)()"
        elif found.kind == ARRAY:
            yield "array"
        elif found.kind in QUALIFIERS:
            word = {CONST: "const ", VOLATILE: "volatile "}.get(found.kind, "")
            yield word + self._spelled_at(found.value, depth + 1)
        else:
            yield found.name

    def _spelled_at(self, number: int, depth: int) -> str:
        return "".join(self._spell(number, depth))

    def _string(self, offset: int) -> str:
        if offset < self._strings_before:
            assert self._base is not None
            return self._base._string(offset)
        start = offset - self._strings_before
        return self._strings[start : self._strings.find(b"\0", start)].decode(errors="replace")
