# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes of C structures from the debug information of an object file (DWARF 5, section 5.7)."""

from __future__ import annotations

import io
import struct
from collections.abc import Collection

from elftools.common.exceptions import DWARFError, ELFError
from elftools.construct.core import ConstructError
from elftools.elf.elffile import ELFFile


def struct_sizes(data: bytes, names: Collection[str]) -> dict[str, int]:
    """Return the sizes in bytes of the structures `names` that have a full description.

    Damaged debug information has no effect: what cannot be read is left out.

    :param data: a relocatable object.
    """
    wanted = {name.encode() for name in names}
    found: dict[str, int] = {}
    try:
        elf = ELFFile(io.BytesIO(data))
        if not elf.has_dwarf_info():
            return {}
        for unit in elf.get_dwarf_info().iter_CUs():
            for entry in unit.get_top_DIE().iter_children():
                if (
                    entry.tag != "DW_TAG_structure_type"
                    or "DW_AT_byte_size" not in entry.attributes
                ):
                    continue
                name = entry.attributes.get("DW_AT_name")
                if name is not None and name.value in wanted:
                    found[name.value.decode()] = entry.attributes["DW_AT_byte_size"].value
            if len(found) == len(wanted):
                break
    except (
        DWARFError,
        ELFError,
        ConstructError,
        struct.error,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
    ):
        return {}
    return found
