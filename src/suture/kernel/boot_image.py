# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel in a bootable image (``vmlinuz``): the ELF file that the boot code would decompress.

The architecture knows where the payload is (`suture.arch.image`).  Its first bytes show the
compression, and its last four bytes are its decompressed size, little-endian, for every compression
(``scripts/Makefile.lib: size_append``; gzip's own trailer has that form anyway).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import lz4.block

from suture import arch
from suture.errors import COMMAND_FAILED, IMAGE_MALFORMED, Refusal
from suture.host import run
from suture.host.files import temporary_directory
from suture.kernel import unpack

LZ4_LEGACY_BLOCK = 8 << 20
"""lz4's ``LEGACY_BLOCKSIZE``: the most that one block of the legacy frame decompresses to."""

ELF_MAGIC = b"\x7fELF"


class _Damaged(Exception):
    """The payload cannot be decompressed."""


@dataclass(frozen=True, slots=True)
class _Payload:
    data: bytes
    size: int
    """of the decompressed kernel, as the build recorded it"""


def decompress(vmlinuz: bytes, where: str) -> bytes:
    """Return the ELF file in a bootable image.

    :param where: the image's path, for the message.
    :raises Refusal: ``image-malformed``, ``tool-missing`` (lzop, for an image that needs it)
    """
    payload = _payload(vmlinuz, where)
    known = next((row for row in COMPRESSIONS if payload.data.startswith(row[0])), None)
    if known is None:
        raise Refusal(
            IMAGE_MALFORMED,
            where,
            f"its payload begins with {payload.data[:6].hex(' ')}, which is no known compression",
        )
    _, name, unpacker = known
    if payload.size > unpack.limit(len(payload.data)):
        claimed = f"{len(payload.data):,} bytes and claims to unpack to {payload.size:,}"
        raise Refusal(IMAGE_MALFORMED, where, f"its {name} payload has {claimed}")
    try:
        kernel = unpacker(payload)
    except (_Damaged, *unpack.ERRORS) as error:
        raise Refusal(
            IMAGE_MALFORMED, where, f"its {name} payload cannot be decompressed ({error})"
        ) from error
    if len(kernel) != payload.size:
        raise Refusal(
            IMAGE_MALFORMED,
            where,
            f"its {name} payload decompresses to {len(kernel):,} bytes instead of {payload.size:,}",
        )
    if not kernel.startswith(ELF_MAGIC):
        raise Refusal(IMAGE_MALFORMED, where, f"its {name} payload is not an ELF file")
    return kernel


def _payload(image: bytes, where: str) -> _Payload:
    formats = [architecture.image for architecture in arch.known()]
    known = (form for form in formats if form is not None and form.is_image(image[: form.head]))
    boot_image = next(known, None)
    if boot_image is None:
        raise Refusal(IMAGE_MALFORMED, where, "it has no boot header that Suture knows")
    data = boot_image.payload(image, where)
    (size,) = struct.unpack_from("<I", data, len(data) - 4)
    return _Payload(data, size)


# Each decompresses one stream from the front and ignores the rest (the appended size).


def _stream(name: str) -> Callable[[_Payload], bytes]:
    return lambda payload: unpack.STREAMS[name](payload.data, payload.size)


def _lz4(payload: _Payload) -> bytes:
    """Decompress the legacy frame: a magic number, then blocks of a 32-bit length and as many bytes
    (``lib/decompress_unlz4.c``).

    It has no end mark; the appended size is where the next length would be.
    """
    data, position, end = payload.data, 4, len(payload.data) - 4
    blocks: list[bytes] = []
    size = 0
    while position < end:
        if position + 4 > end:
            raise _Damaged("a block's length is truncated")
        (length,) = struct.unpack_from("<I", data, position)
        position += 4
        if position + length > end:
            raise _Damaged("a block is truncated")
        try:
            blocks.append(
                lz4.block.decompress(data[position : position + length], LZ4_LEGACY_BLOCK)
            )
        except lz4.block.LZ4BlockError as error:
            raise _Damaged(str(error)) from error
        position += length
        size += len(blocks[-1])
        if size > payload.size:
            raise _Damaged(f"it unpacks to more than {payload.size:,} bytes")
    return b"".join(blocks)


def _lzo(payload: _Payload) -> bytes:
    with temporary_directory() as directory:
        packed, unpacked = directory / "vmlinux.lzo", directory / "vmlinux"
        packed.write_bytes(payload.data[:-4])
        try:
            run.check(["lzop", "--decompress", "--output", unpacked, packed])
        except Refusal as error:
            if error.kind is COMMAND_FAILED:
                raise _Damaged("; ".join(error.evidence)) from error
            raise
        if unpacked.stat().st_size > payload.size:
            raise _Damaged(f"it unpacks to more than {payload.size:,} bytes")
        return unpacked.read_bytes()


COMPRESSIONS: tuple[tuple[bytes, str, Callable[[_Payload], bytes]], ...] = (
    (b"\x1f\x8b", "gzip", _stream("gzip")),
    (b"BZh", "bzip2", _stream("bzip2")),
    (b"\xfd7zXZ\x00", "xz", _stream("xz")),
    (b"\x5d\x00\x00", "lzma", _stream("lzma")),
    (b"\x28\xb5\x2f\xfd", "zstd", _stream("zstd")),
    (b"\x02\x21\x4c\x18", "lz4", _lz4),
    (b"\x89LZO\x00\r\n\x1a\n", "lzo", _lzo),
)
"""The ``CONFIG_KERNEL_*`` compressions, by the first bytes of their payload
(``lib/decompress.c``)."""
