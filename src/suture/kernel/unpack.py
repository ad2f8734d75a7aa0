# SPDX-License-Identifier: GPL-2.0-or-later
"""Decompression with a limit: what a file unpacks to, and the memory for it, is in proportion to
the file.

A damaged header may ask for gigabytes, of output or for the window alone.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping

import zstandard

RATIO = 64
"""Kernels and modules are packed to a fifth or a quarter."""

LEAST_LIMIT = 64 << 20
"""Bytes that even a small file may unpack to."""

WINDOW = 128 << 20
"""Bytes: the window of ``zstd --ultra -22`` and the dictionary of ``scripts/xz_wrap.sh``
(``scripts/Makefile.lib``)."""

ZSTD_CHUNK = 1024
"""Bytes of input at a time: 4 of them can stand for 128 KiB (RFC 8878, 3.1.1.2.2: RLE_Block)."""

ERRORS = (
    lzma.LZMAError,
    zlib.error,
    zstandard.ZstdError,
    EOFError,
    OSError,
    ValueError,
    MemoryError,
)
"""What the functions of `STREAMS` raise for a damaged stream."""


def limit(packed: int) -> int:
    """How many bytes `packed` bytes may unpack to."""
    return max(LEAST_LIMIT, RATIO * packed)


def _gzip(data: bytes, most: int) -> bytes:
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    return _whole(decompressor.decompress(data, most + 1), decompressor.eof, most)


def _bzip2(data: bytes, most: int) -> bytes:
    decompressor = bz2.BZ2Decompressor()
    return _whole(decompressor.decompress(data, most + 1), decompressor.eof, most)


def _xz(data: bytes, most: int) -> bytes:
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=WINDOW + WINDOW // 2)
    return _whole(decompressor.decompress(data, most + 1), decompressor.eof, most)


def _lzma(data: bytes, most: int) -> bytes:
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=WINDOW + WINDOW // 2)
    return _whole(decompressor.decompress(data, most + 1), decompressor.eof, most)


def _zstd(data: bytes, most: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    stream = decompressor.decompressobj()
    parts, size = [], 0
    for start in range(0, len(data), ZSTD_CHUNK):
        parts.append(stream.decompress(data[start : start + ZSTD_CHUNK]))
        size += len(parts[-1])
        if stream.eof or size > most:
            break
    _check(size, stream.eof, most)
    return b"".join(parts)


def _whole(unpacked: bytes, ended: bool, most: int) -> bytes:
    _check(len(unpacked), ended, most)
    return unpacked


def _check(size: int, ended: bool, most: int) -> None:
    if size > most:
        raise ValueError(f"it unpacks to more than {most:,} bytes")
    if not ended:
        raise EOFError("it is truncated")


STREAMS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "bzip2": _bzip2,
    "xz": _xz,
    "lzma": _lzma,
    "zstd": _zstd,
}
"""By name: unpacks one stream from the front of some bytes, to at most so many, and leaves what
follows it alone.

:raises one of `ERRORS`: it is damaged, cut off or larger
"""

FILES = ((b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x1f\x8b", "gzip"))
"""The first bytes of a packed file, and how it is packed (``scripts/Makefile.modinst``)."""


def unpacked(data: bytes) -> bytes:
    """The contents of a file that may be packed.

    :raises one of `ERRORS`: it is damaged, cut off, or too large
    """
    for magic, name in FILES:
        if data.startswith(magic):
            return STREAMS[name](data, limit(len(data)))
    return data
