# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the tables of kallsyms begin in an image, by toy tables as scripts/kallsyms.c writes them."""

from __future__ import annotations

import struct

import pytest

from suture.kernel.kallsyms_child import Finder

PADDING = b"\0" * 64
TOKENS = [f"t{number:x}_" for number in range(256)]
for one in "0123456789abcdefghijklmnopqrstuvwxyz":
    TOKENS[ord(one)] = one


def found(before: bytes) -> int:
    """Return the place of the token table that follows some bytes, from their end."""
    table = b"".join(token.encode() + b"\0" for token in TOKENS)
    offsets, at = [], 0
    for token in TOKENS:
        offsets.append(at)
        at += len(token) + 1
    index = struct.pack("<256H", *offsets)
    finder = Finder.__new__(Finder)
    finder.kernel_img = PADDING + before + table + b"\0" * (-len(table) % 8) + index + PADDING
    finder.find_kallsyms_token_table()
    return int(finder.kallsyms_token_table__offset) - len(PADDING + before)


@pytest.mark.parametrize(
    "markers",
    [
        b"\0\0\0\0\0\0\0\0",
        b"\0\0\0\0\xf0\xf1\xf2\xf3",
        b"\0\0\0\0abcd",
        b"\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08",
        b"\0\0\0\0ab\xffc",
    ],
)
def test_the_markers_before_the_tokens_are_no_part_of_them(markers: bytes) -> None:
    assert found(markers) == 0
