# SPDX-License-Identifier: GPL-2.0-or-later
"""Decompression with a limit: output and memory are in proportion to the packed file.

A damaged header may request gigabytes, as output or as window.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping

import zstandard

RATIO = 64
"""Limit of unpacked to packed size; kernels and modules have 4 or 5."""

LEAST_LIMIT = 64 << 20
"""Bytes that even a small file may unpack to."""

WINDOW = 128 << 20
"""Bytes: the window of ``zstd --ultra -22`` and the dictionary of ``scripts/xz_wrap.sh``
(``scripts/Makefile.lib``)."""

ZSTD_CHUNK = 1024
"""Bytes of input at a time: 4 bytes can unpack to 128 KiB (RFC 8878, 3.1.1.2.2: RLE_Block)."""

ERRORS = (
    lzma.LZMAError,
    zlib.error,
    zstandard.ZstdError,
    EOFError,
    OSError,
    ValueError,
    MemoryError,
)
"""Exceptions of the functions in `STREAMS` for a damaged stream."""


def limit(packed: int) -> int:
    """Return the number of bytes to which `packed` bytes may unpack."""
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
"""Compression -> function that unpacks one stream from the front of some bytes, to at most so many,
and ignores the rest.

:raises one of `ERRORS`: the stream is damaged, truncated or larger
"""

FILES = ((b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x1f\x8b", "gzip"))
"""The first bytes of a packed file, and its compression (``scripts/Makefile.modinst``)."""


def unpacked(data: bytes) -> bytes:
    """Return the contents of a file that may be packed.

    :raises one of `ERRORS`: it is damaged, truncated, or too large
    """
    for magic, name in FILES:
        if data.startswith(magic):
            return STREAMS[name](data, limit(len(data)))
    return data
