# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes of the target's structures, from the BTF in its image (Documentation/bpf/btf.rst)."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping

from suture.errors import TYPES_MALFORMED, Refusal

MAGIC = 0xEB9F
STRUCT_KIND = 4
# What follows struct btf_type, by kind: bytes once, or bytes for each of its `vlen` members.
FIXED = {1: 4, 3: 12, 14: 4, 17: 4}  # INT, ARRAY, VAR, DECL_TAG
PER_MEMBER = {
    4: 12,
    5: 12,
    6: 8,
    13: 8,
    15: 12,
    19: 12,
}  # STRUCT, UNION, ENUM, FUNC_PROTO, DATASEC, ENUM64
LAST_KIND = 19


def prefix(btf: bytes) -> str:
    """Return the byte order of BTF, which is the kernel's own, as a `struct` format has it."""
    return ">" if btf.startswith(MAGIC.to_bytes(2, "big")) else "<"


def struct_sizes(btf: bytes, names: Collection[str], where: str) -> Mapping[str, int]:
    """Return the sizes in bytes of the structures `names` that the kernel has.

    :param btf: contents of the image's ``.BTF`` section.
    :raises Refusal: ``types-malformed``
    """
    try:
        return _struct_sizes(btf, {name.encode() for name in names}, where)
    except (struct.error, IndexError) as error:
        raise Refusal(TYPES_MALFORMED, where, f"its BTF is truncated ({error})") from error


def _struct_sizes(btf: bytes, names: Collection[bytes], where: str) -> dict[str, int]:
    # struct btf_header: magic, version, flags, hdr_len, type_off, type_len, str_off, str_len
    order = prefix(btf)
    magic, _, _, header, type_off, type_len, str_off, str_len = struct.unpack_from(
        f"{order}HBBIIIII", btf
    )
    if magic != MAGIC:
        raise Refusal(TYPES_MALFORMED, where, f"its BTF begins with {magic:#x}")
    strings = btf[header + str_off : header + str_off + str_len]
    wanted = {
        offset: name for name in names if (offset := strings.find(b"\0" + name + b"\0") + 1) > 0
    }
    found: dict[str, int] = {}
    unpack = struct.Struct(f"{order}III").unpack_from
    position, end = header + type_off, header + type_off + type_len
    while position < end and len(found) < len(wanted):
        # struct btf_type: name_off, info (bits 0-15 vlen, 24-28 kind), size or type
        name, info, size = unpack(btf, position)
        kind = info >> 24 & 0x1F
        if kind > LAST_KIND:
            raise Refusal(TYPES_MALFORMED, where, f"its BTF has a type of unknown kind {kind}")
        if kind == STRUCT_KIND and name in wanted:
            found[wanted[name].decode()] = size
        position += 12 + FIXED.get(kind, 0) + PER_MEMBER.get(kind, 0) * (info & 0xFFFF)
    return found
