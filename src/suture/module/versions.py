# SPDX-License-Identifier: GPL-2.0-or-later
"""The versions of the kernel's symbols that a module was built with (``CONFIG_MODVERSIONS``).

``__versions`` is an array of ``struct modversion_info`` (include/linux/module.h): a CRC as a long,
and a name in the rest of 64 bytes.  ``__version_ext_crcs`` and ``__version_ext_names`` hold the
same as 32-bit numbers and as strings of any length (``CONFIG_EXTENDED_MODVERSIONS``, Linux 6.14).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from suture.elf.object import WORD, ObjectFile

SECTION = "__versions"
CRCS, NAMES = "__version_ext_crcs", "__version_ext_names"

ENTRY_SIZE = 64
CRC_SIZE = 4


def read(module: ObjectFile) -> Mapping[str, int] | None:
    """Return the CRC of each symbol by name; None for a module without versions."""
    plain, crcs, names = (_contents(module, name) for name in (SECTION, CRCS, NAMES))
    if plain is None and (crcs is None or names is None):
        return None
    found: dict[str, int] = {}
    order = module.machine.order
    data = plain or b""
    for start in range(0, len(data) - ENTRY_SIZE + 1, ENTRY_SIZE):
        name = data[start + WORD : start + ENTRY_SIZE].partition(b"\0")[0]
        found[name.decode("utf-8", "replace")] = int.from_bytes(data[start : start + WORD], order)
    if crcs is not None and names is not None:
        numbers = struct.unpack(
            f"{module.machine.prefix}{len(crcs) // CRC_SIZE}I",
            crcs[: len(crcs) // CRC_SIZE * CRC_SIZE],
        )
        texts = names.decode("utf-8", "replace").split("\0")
        found.update(zip(texts, numbers, strict=False))
    return found


def _contents(module: ObjectFile, name: str) -> bytes | None:
    index = module.section_named(name)
    return module.sections[index].data if index else None
