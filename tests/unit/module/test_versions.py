# SPDX-License-Identifier: GPL-2.0-or-later
"""The versions of symbols in a module, in both of the kernel's forms."""

from __future__ import annotations

import struct

from suture.elf.object import SHT_NULL, SHT_PROGBITS, ObjectFile, Section
from suture.module import versions
from tests.unit.toolchain import MACHINE


def module(**sections: bytes) -> ObjectFile:
    made = [Section("", SHT_NULL, 0, b"", 0)]
    made += [Section(name, SHT_PROGBITS, 2, data, len(data)) for name, data in sections.items()]
    return ObjectFile("m.ko", tuple(made), (), {}, machine=MACHINE)


def entry(name: bytes, crc: int) -> bytes:
    return struct.pack("<Q56s", crc, name)


def test_entries_of_64_bytes() -> None:
    data = entry(b"module_layout", 0x9060323F) + entry(b"_printk", 0x12345678)
    found = versions.read(module(__versions=data + b"damaged"))
    assert found == {"module_layout": 0x9060323F, "_printk": 0x12345678}


def test_names_of_any_length() -> None:
    crcs = struct.pack("<2I", 1, 0xFFFFFFFF)
    names = b"first\0" + b"x" * 99 + b"\0"
    found = versions.read(module(__version_ext_crcs=crcs, __version_ext_names=names))
    assert found == {"first": 1, "x" * 99: 0xFFFFFFFF}


def test_a_module_without_versions_has_none() -> None:
    assert versions.read(module()) is None
