# SPDX-License-Identifier: GPL-2.0-or-later
"""A module's file under another name: everything else stays as it is, to the byte.

The kernel takes a module's name from ``__this_module`` (include/linux/module.h: struct module), and
``name=`` in ``.modinfo`` says the same to modinfo(8).  The first has room for the longest name; the
second gets a new ``.modinfo`` behind all other contents.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from suture.elf import reader
from suture.errors import OBJECT_MALFORMED, Refusal
from suture.module import signature
from suture.module.staying import NAME_SIZE

THIS_MODULE = ".gnu.linkonce.this_module"
MODINFO = ".modinfo"

_TABLE_FIELD = 40  # Elf64_Ehdr: e_shoff
_HEADER_SIZE = 64  # sizeof(Elf64_Shdr)
_PLACE_FIELDS = 24  # Elf64_Shdr: sh_offset, sh_size


@dataclass(frozen=True, slots=True)
class _Held:
    """Where the contents of a section are in the file.

    :ivar header: the offset of the section's header.
    """

    header: int
    offset: int
    size: int


def renamed(data: bytes, where: str, name: str) -> bytes:
    """Return a module under another name, without a signature.

    :raises Refusal: ``object-malformed``, ``object-unsupported``, ``signature-malformed``
    """
    return _Renaming(data, where).to(name)


class _Renaming:
    """A module's file, read as far as its name needs."""

    def __init__(self, data: bytes, where: str) -> None:
        made = signature.read(data, where)
        self._data = data = made.content if made is not None else data
        self._where = where
        self._obj = reader.read(data, where)
        self._prefix = self._obj.machine.prefix

    def to(self, name: str) -> bytes:
        """Return the file under another name."""
        this, info = self._held(THIS_MODULE), self._held(MODINFO)
        entries = self._data[info.offset : info.offset + info.size].split(b"\0")
        names = [entry for entry in entries if entry.startswith(b"name=")]
        if len(names) != 1:
            raise self._malformed(f"{MODINFO} has {len(names)} names")
        old = names[0].removeprefix(b"name=")
        data = bytearray(self._data)
        data[self._field(this, old)] = name.encode().ljust(NAME_SIZE, b"\0")
        # Zeros between entries are no entries (get_next_modinfo()), and the others stay in place.
        others = (bytes(len(entry)) if entry is names[0] else entry for entry in entries)
        changed = b"\0".join(others) + b"\0name=" + name.encode() + b"\0"
        data += bytes(-len(data) % 8)
        place = len(data), len(changed)
        struct.pack_into(self._prefix + "QQ", data, info.header + _PLACE_FIELDS, *place)
        return bytes(data + changed)

    def _field(self, this: _Held, old: bytes) -> slice:
        """Return the place of the name in ``__this_module``."""
        held = self._data[this.offset : this.offset + this.size]
        field = old.ljust(NAME_SIZE, b"\0")
        if not old or held.count(field) != 1:
            raise self._malformed(f"{THIS_MODULE} does not hold the name {old.decode()!r} once")
        start = this.offset + held.index(field)
        return slice(start, start + NAME_SIZE)

    def _held(self, name: str) -> _Held:
        index = self._obj.section_named(name)
        if index is None:
            raise self._malformed(f"it has no {name}")
        (table,) = struct.unpack_from(self._prefix + "Q", self._data, _TABLE_FIELD)
        header = table + index * _HEADER_SIZE
        offset, size = struct.unpack_from(self._prefix + "QQ", self._data, header + _PLACE_FIELDS)
        return _Held(header, offset, size)

    def _malformed(self, found: str) -> Refusal:
        return Refusal(OBJECT_MALFORMED, self._where, found)
