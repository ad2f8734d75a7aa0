# SPDX-License-Identifier: GPL-2.0-or-later
"""A tar that is read once from its start, such as a program prints: a kernel's source, or the files
of a package.

The standard library's reader takes 37 microseconds for a member, of which a kernel's source has
84,000, and takes a damaged header in the middle for the end.  This one knows what GNU tar and git
write (tar(5)): POSIX ustar, GNU's long names, and the paths of pax headers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

BLOCK = 512

FILE, DIRECTORY, SYMBOLIC_LINK = b"0", b"5", b"2"

_OLD_FILE = b"\0"
"""What a file's type was before POSIX."""

_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"g"

_CHECKSUM = slice(148, 156)
_SPACES = 8 * ord(" ")
"""The checksum is made as if it was so many spaces itself."""

_POSIX = b"ustar\0"
"""Only this form has a second part of the name; GNU's has times at its place."""


class TarDamaged(ValueError):
    """It cannot be read to its end."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """A member as the archive has it.

    :ivar path: without a slash at its end, which directories have in the archive.
    :ivar kind: `FILE`, `DIRECTORY`, `SYMBOLIC_LINK`, or another type of tar(5).
    :ivar time: seconds.
    :ivar link: what a link leads to.
    """

    path: str
    kind: bytes
    mode: int
    time: int
    link: str
    content: bytes


def members(stream: IO[bytes]) -> Iterator[TarMember]:
    """Yield the members of a tar.

    :raises TarDamaged: one cannot be read, the end is missing, or a form is not known
    """
    long_name = long_link = ""
    while (block := _read(stream, BLOCK)).strip(b"\0"):
        if sum(block) - sum(block[_CHECKSUM]) + _SPACES != _number(block[_CHECKSUM]):
            raise TarDamaged("a header is damaged")
        size = _number(block[124:136])
        content = _read(stream, size)
        if padding := -size % BLOCK:
            _read(stream, padding)
        kind = block[156:157]
        if kind == _LONG_NAME:
            long_name = _text(content)
        elif kind == _LONG_LINK:
            long_link = _text(content)
        elif kind == _PAX:
            records = _records(content)
            long_name = records.get(b"path", long_name)
            long_link = records.get(b"linkpath", long_link)
        elif kind != _PAX_GLOBAL:
            path = (long_name or _name(block)).rstrip("/")
            link = long_link or _text(block[157:257])
            long_name = long_link = ""
            kind = FILE if kind == _OLD_FILE else kind
            mode = _number(block[100:108]) & 0o7777
            yield TarMember(path, kind, mode, _number(block[136:148]), link, content)


def _read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise TarDamaged("it ends in the middle")
    return data


def _number(field: bytes) -> int:
    """Return an octal number.  GNU's binary form is for more than 8 GiB."""
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise TarDamaged("a header has no number where one belongs") from None


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")


def _name(block: bytes) -> str:
    name = _text(block[:100])
    prefix = _text(block[345:500]) if block[257:263] == _POSIX else ""
    return f"{prefix}/{name}" if prefix else name


def _records(content: bytes) -> dict[bytes, str]:
    """Return the records ``LENGTH KEY=VALUE`` of a pax header.

    :raises TarDamaged: they are malformed, or say more of a file than its name and times
    """
    records = {}
    while content:
        length, _, _ = content.partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(content):
            raise TarDamaged("a pax header is damaged")
        key, _, value = content[len(length) + 1 : int(length)].partition(b"=")
        if key == b"size" or key.startswith(b"GNU.sparse"):
            raise TarDamaged(f"a pax header has {key.decode()}, which is not read")
        records[key] = value.removesuffix(b"\n").decode(errors="surrogateescape")
        content = content[int(length) :]
    return records
