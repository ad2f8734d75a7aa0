# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of a source tree: which files have a word.

An index is a directory of parts, each of some files of the tree.  A part begins with its table of
contents; the words follow in buckets, by their checksum, each compressed by itself.  A line of a
bucket is a word and the numbers of the files with it.

The index says of each file how large and how old it was.  What is there besides, or has changed
since, is read when it is asked for: headers that the build generates, for example.  Where two parts
have a file, the later one counts (`suture.workspace.shared_words`).
"""

from __future__ import annotations

import json
import os
import re
import string
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cached_property, lru_cache
from pathlib import Path

import zstandard

FORMAT = b"suture words 1\n"
"""The number changes with the form of an index, and with what is in it."""

BUCKETS = 256
PART_SIZE = 48 << 20
"""Bytes of text in a part: making one takes 200 MB of memory."""

_NOT_READ = ("Documentation", "LICENSES", "arch", "samples")
_NOT_CODE = ("Kconfig*", "*.rst", "*.txt", "*.dts", "*.dtsi", ".*", "*.o", "*.a", "*.ko", "*.so")
_SOURCES = (".c", ".h", ".S")

_OF_WORDS = (string.ascii_letters + string.digits + "_").encode()
_BETWEEN = bytes(byte if byte in _OF_WORDS else 32 for byte in range(256))
"""Makes a space of every byte that is not part of a word."""

_NUMBER = re.compile(rb"(?:0[xX][0-9A-Fa-f]+|[0-9]+)[uUlL]*")
_LAST_DIGIT = ord("9")

Names = frozenset[bytes]

Stamp = tuple[int, int]
"""Size in bytes, and time of the last change in nanoseconds."""

Share = list[tuple[str, Stamp]]
"""Files of a part."""


def files(tree: Path, architecture: str) -> Iterator[tuple[str, Stamp]]:
    """Yield the files of a tree that may have a say in an object, without other architectures."""
    top = sorted(entry.name for entry in tree.iterdir() if entry.name not in _NOT_READ)
    waiting = [*(name for name in top if name[0] != "."), f"arch/{architecture}"]
    while waiting:
        place = waiting.pop()
        if not (tree / place).is_dir():
            if (tree / place).is_file() and not _is_left_out(place):
                status = (tree / place).lstat()
                yield place, (status.st_size, status.st_mtime_ns)
            continue
        with os.scandir(tree / place) as entries:
            for entry in entries:
                path = f"{place}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif entry.is_file(follow_symlinks=False) and not _is_left_out(entry.name):
                    status = entry.stat(follow_symlinks=False)
                    yield path, (status.st_size, status.st_mtime_ns)


@lru_cache(1 << 10)
def _kind_is_left_out(kind: str) -> bool:
    return any(fnmatch(kind, pattern) for pattern in _NOT_CODE)


def _is_left_out(name: str) -> bool:
    base = os.path.basename(name)
    if base.endswith(_SOURCES):
        return base[0] == "."
    return _kind_is_left_out(base)


def words_of(text: bytes) -> set[bytes]:
    """Return the words of a text, without numbers."""
    words = set(text.translate(_BETWEEN).split())
    return words - {word for word in words if word[0] <= _LAST_DIGIT and _NUMBER.fullmatch(word)}


def _is_text(path: str, content: bytes) -> bool:
    return path.endswith(_SOURCES) or b"\0" not in content


# Making


def place(directory: Path) -> Path:
    """Return where the index of a workspace is.

    :param directory: of the workspace.
    """
    return directory / "index" / "words"


def part_contents(tree: Path, listed: Share) -> bytes:
    """Return a part of an index, of some files.

    :raises OSError: a file cannot be read.
    """
    having: dict[bytes, list[bytes]] = defaultdict(list)
    for number, (path, _) in enumerate(listed):
        content = (tree / path).read_bytes()
        if _is_text(path, content):
            for word in words_of(content):
                having[word].append(b"%d" % number)
    buckets: list[list[bytes]] = [[] for _ in range(BUCKETS)]
    for word, marks in having.items():
        buckets[_bucket(word)].append(b"%b %b" % (word, b" ".join(marks)))
    packer = zstandard.ZstdCompressor()
    packed = [packer.compress(b"\n".join([b"", *lines, b""])) for lines in buckets]
    contents = {
        "files": [(path, *stamp) for path, stamp in listed],
        "sizes": [len(one) for one in packed],
    }
    head = packer.compress(json.dumps(contents).encode())
    return b"".join([FORMAT, b"%d\n" % len(head), head, *packed])


def shares(listed: Iterable[tuple[str, Stamp]]) -> Iterator[Share]:
    """Split the files of a tree into those of each part."""
    share: Share = []
    size = 0
    for path, stamp in listed:
        share.append((path, stamp))
        size += stamp[0]
        if size >= PART_SIZE:
            yield share
            share, size = [], 0
    if share:
        yield share


def _bucket(word: bytes) -> int:
    return zlib.crc32(word) % BUCKETS


# Reading


def is_readable(directory: Path) -> bool:
    """Tell whether a directory has an index of today's format."""
    try:
        return bool(parts(directory))
    except (OSError, ValueError):
        return False


def parts(directory: Path) -> list[IndexPart]:
    """Return the parts of an index, in their order.

    :raises OSError: it is missing.
    :raises ValueError: it is damaged, or of another format.
    """
    return [IndexPart(path) for path in sorted(directory.iterdir())]


def owners(parts: Iterable[IndexPart]) -> dict[str, IndexPart]:
    """Return the part of each file that counts."""
    return {path: part for part in parts for path in part.files}


class IndexPart:
    """A part of an index, read as far as it is asked for."""

    def __init__(self, path: Path) -> None:
        """Read the table of contents.

        :raises ValueError: it is no part, or damaged.
        """
        self.path = path
        with path.open("rb") as file:
            if file.readline() != FORMAT:
                raise ValueError("another format")
            length = int(file.readline())
            contents = json.loads(_unpacked(file.read(length)))
            start = file.tell()
        self.files: list[str] = [path for path, *_ in contents["files"]]
        self.stamps: dict[str, Stamp] = {
            path: (size, changed) for path, size, changed in contents["files"]
        }
        self._places: list[tuple[int, int]] = []
        for size in contents["sizes"]:
            self._places.append((start, size))
            start += size
        if start != path.stat().st_size:
            raise ValueError("cut off")
        self._buckets: dict[int, bytes] = {}

    def marks(self, word: bytes) -> list[bytes]:
        """Return the numbers of the files with a word.

        :raises ValueError: the part is damaged.
        """
        bucket = self._bucket(_bucket(word))
        start = bucket.find(b"\n%b " % word)
        if start < 0:
            return []
        return bucket[start + 1 : bucket.index(b"\n", start + 1)].split()[1:]

    def _bucket(self, number: int) -> bytes:
        if number not in self._buckets:
            start, size = self._places[number]
            with self.path.open("rb") as file:
                file.seek(start)
                self._buckets[number] = _unpacked(file.read(size))
        return self._buckets[number]


def _unpacked(data: bytes) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(f"damaged: {error}") from error


class WordIndex:
    """The words of a tree as it is now."""

    def __init__(self, tree: Path, architecture: str, directory: Path) -> None:
        """Open an index; only its tables of contents are read.

        :param directory: its parts.
        :raises OSError: it is missing.
        :raises ValueError: it is damaged, or of another format.
        """
        self.tree = tree
        self._parts = parts(directory)
        owner = owners(self._parts)
        self._now = dict(files(tree, architecture))
        self._as_indexed = {
            path: part for path, part in owner.items() if self._now.get(path) == part.stamps[path]
        }
        self._other = [path for path in self._now if path not in self._as_indexed]

    def files_with(self, word: bytes) -> frozenset[str]:
        """Return the files with a word."""
        others = {path for path, words in self._unindexed.items() if word in words}
        return frozenset(others.union(self._indexed_with(word)))

    def known(self, words: Names) -> Names:
        """Return those of some words that are in the tree; a number counts as there."""
        return Names(word for word in words if self._is_known(word))

    def read(self, path: str) -> bytes:
        """Return the contents of a file; nothing where it has gone meanwhile."""
        try:
            return (self.tree / path).read_bytes()
        except FileNotFoundError:
            return b""

    def _indexed_with(self, word: bytes) -> Iterator[str]:
        for part in self._parts:
            for mark in part.marks(word):
                path = part.files[int(mark)]
                if self._as_indexed.get(path) is part:
                    yield path

    def _is_known(self, word: bytes) -> bool:
        return (
            _NUMBER.fullmatch(word) is not None
            or next(self._indexed_with(word), None) is not None
            or any(word in words for words in self._unindexed.values())
        )

    @cached_property
    def _unindexed(self) -> dict[str, set[bytes]]:
        """The words of the files that are not as the index has them."""
        found = {path: self.read(path) for path in self._other}
        return {path: words_of(text) for path, text in found.items() if _is_text(path, text)}
