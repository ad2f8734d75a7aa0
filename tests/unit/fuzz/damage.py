# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to damage a file: its bytes, its length, and the fields of its structures, each for itself.

A file's fields come in groups (section headers, symbols, ...), so that a table with thousands of
entries is hit no more often than the one header that says where it is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

Field = tuple[int, int]
"""Offset and size in bytes, of a little-endian number."""

Fields = Callable[[bytes], Sequence[Sequence[Field]]]

# elf(5): field sizes in order
EHDR = (1,) * 16 + (2, 2, 4, 8, 8, 8, 4, 2, 2, 2, 2, 2, 2)
PHDR = (4, 4, 8, 8, 8, 8, 8, 8)
SHDR = (4, 4, 8, 8, 8, 8, 4, 4, 8, 8)
SYM = (4, 1, 1, 2, 8, 8)
RELA = (8, 4, 4, 8)
TABLES = {2: SYM, 4: RELA}  # SHT_SYMTAB, SHT_RELA
SHT_STRTAB = 3

VALUES: tuple[int, ...] = (
    *(
        0,
        1,
        2,
        3,
        4,
        7,
        8,
        0x7F,
        0xFF,
        0x1000,
        0xFFF1,
        0xFFFF,
        1 << 20,
        1 << 30,
        0x7FFFFFFF,
        0xFFFFFFFF,
        1 << 40,
    ),
    *(0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFF0, 0xFFFFFFFFFFFFFFFF),
)


@dataclass(frozen=True, slots=True)
class Edit:
    """One change; `place` and `value` are taken modulo what there is."""

    action: str
    group: int
    place: int
    value: int


ACTIONS = ("set", "set", "set", "add", "copy", "swap", "bytes", "delete", "repeat", "cut")

edits = st.lists(
    st.builds(
        Edit,
        st.sampled_from(ACTIONS),
        st.integers(0, 15),
        st.integers(0, 1 << 20),
        st.one_of(st.sampled_from(VALUES), st.integers(0, 1 << 16), st.integers(0, (1 << 64) - 1)),
    ),
    min_size=1,
    max_size=5,
)


def damaged(good: bytes, changes: Sequence[Edit], fields: Fields | None = None) -> bytes:
    """`good` after all `changes`; without `fields` a change of a field is one of four bytes
    anywhere."""
    groups = [group for group in fields(good) if group] if fields else []
    data = bytearray(good)
    for change in changes:
        _change(data, change, groups[change.group % len(groups)] if groups else ())
    return bytes(data)


def _change(data: bytearray, change: Edit, group: Sequence[Field]) -> None:
    if not data:
        return
    offset, size = group[change.place % len(group)] if group else (change.place % len(data), 4)
    anywhere = change.place * 31 % len(data)
    match change.action:
        case "set":
            _put(data, offset, size, change.value)
        case "add":  # a little more or less than it was
            _put(data, offset, size, _get(data, offset, size) + change.value % 17 - 8)
        case "copy":
            other, width = (
                group[change.value % len(group)] if group else (change.value % len(data), 4)
            )
            _put(data, offset, size, _get(data, other, width))
        case "swap":
            other, width = (
                group[change.value % len(group)] if group else (change.value % len(data), 4)
            )
            mine, theirs = _get(data, offset, size), _get(data, other, width)
            _put(data, offset, size, theirs)
            _put(data, other, width, mine)
        case "bytes":
            _put(data, anywhere, 1, change.value)
        case "delete":
            del data[anywhere : anywhere + 1 + change.value % 64]
        case "repeat":
            piece = bytes(data[anywhere : anywhere + 1 + change.value % 64])
            data[anywhere:anywhere] = piece * (1 + change.value % 5)
        case "cut":
            del data[anywhere:]


def _get(data: bytearray, offset: int, size: int) -> int:
    return int.from_bytes(data[offset : offset + size], "little")


def _put(data: bytearray, offset: int, size: int, value: int) -> None:
    """Fields that earlier changes have cut off stay so."""
    if offset + size <= len(data):
        data[offset : offset + size] = (value % (1 << 8 * size)).to_bytes(size, "little")


def elf_fields(data: bytes) -> list[list[Field]]:
    """File header, program headers, section headers, symbols, relocations, and the bytes of string
    tables."""
    phoff, shoff = struct.unpack_from("<QQ", data, 32)
    phnum, _, shnum = struct.unpack_from("<HHH", data, 56)
    groups = [
        list(_row(EHDR, 0)),
        [field for number in range(phnum) for field in _row(PHDR, phoff + 56 * number)],
        [field for number in range(shnum) for field in _row(SHDR, shoff + 64 * number)],
    ]
    strings: list[Field] = []
    for number in range(shnum):
        (kind,) = struct.unpack_from("<I", data, shoff + 64 * number + 4)
        start, size = struct.unpack_from("<QQ", data, shoff + 64 * number + 24)
        if kind in TABLES:
            row = TABLES[kind]
            groups.append(
                [field for at in range(start, start + size, sum(row)) for field in _row(row, at)]
            )
        elif kind == SHT_STRTAB:
            strings += [(at, 1) for at in range(start, start + size)]
    return [*groups, strings]


def _row(sizes: Sequence[int], start: int) -> Iterator[Field]:
    for size in sizes:
        yield start, size
        start += size


def words(data: bytes) -> list[list[Field]]:
    """For tables of 32-bit numbers: all of them, and those at the start."""
    everything = [(at, 4) for at in range(0, len(data) - 3, 4)]
    return [everything[:8], everything]


WORDS = (
    *("-" + "9" * 5000 + ",1", "+0", ".5", "5.²", "9" * 5000 + ".1"),
    *(
        "",
        "-",
        "0",
        "-1",
        "+1,1",
        "²",
        "٣",
        "1_0",
        "9" * 5000,
        "\t",
        "  ",
        "\r",
        "\x0c",
        "\x1c",
        "\x85",
        "\u2028",
        "\x00",
    ),
    *(
        '"',
        "'",
        "\\",
        "$(",
        "$$",
        "#",
        ";",
        ":",
        "[",
        "]",
        "=",
        "/",
        "../",
        "a" * 3000,
        "\udcff",
        "/dev/null",
        "@@",
    ),
)
"""What stands in lines where something else should: numbers that are none, separators that only
some take for such."""


@dataclass(frozen=True, slots=True)
class LineEdit:
    """One change to a text of lines of words."""

    action: str
    line: int
    word: int
    text: str


line_edits = st.lists(
    st.builds(
        LineEdit,
        st.sampled_from(
            (
                "replace",
                "replace",
                "append",
                "insert",
                "delete",
                "repeat",
                "join",
                "drop",
                "swap",
                "cut",
            )
        ),
        st.integers(0, 1 << 12),
        st.integers(0, 63),
        st.one_of(st.sampled_from(WORDS), st.text(max_size=8)),
    ),
    min_size=1,
    max_size=6,
)


def damaged_text(good: bytes, changes: Sequence[LineEdit], separator: str = " ") -> bytes:
    """:param separator: between the words of a line."""
    lines = good.decode("utf-8", "surrogateescape").split("\n")
    for change in changes:
        _change_line(lines, change, separator)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _change_line(lines: list[str], change: LineEdit, separator: str) -> None:
    if not lines:
        return
    at = change.line % len(lines)
    words = lines[at].split(separator)
    chosen = change.word % len(words)
    match change.action:
        case "replace":
            words[chosen] = change.text
        case "append":
            words[chosen] += change.text
        case "insert":
            words.insert(chosen, change.text)
        case "delete":
            del words[chosen]
        case "repeat":
            lines[at:at] = [lines[at]] * (change.word + 1)
            return
        case "join":
            lines[at : at + 2] = ["".join(lines[at : at + 2])]
            return
        case "drop":
            del lines[at]
            return
        case "swap":
            other = change.word % len(lines)
            lines[at], lines[other] = lines[other], lines[at]
            return
        case "cut":
            lines[at:] = [lines[at][: change.word]]
            return
    lines[at] = separator.join(words)
