# SPDX-License-Identifier: GPL-2.0-or-later
"""The bootable image of x86 (``vmlinuz``, bzImage): a setup header, boot code, and the compressed
payload, which is ``vmlinux`` without symbols (``arch/x86/boot/compressed/Makefile: vmlinux.bin``).

The setup header has the payload's place (``Documentation/arch/x86/boot.rst``).
"""

from __future__ import annotations

import struct

from suture.arch.image import BootImage
from suture.errors import IMAGE_MALFORMED, Refusal

SETUP_SECTS = 0x1F1
BOOT_FLAG = 0x1FE
HEADER_MAGIC = 0x202
PROTOCOL_VERSION = 0x206
PAYLOAD_OFFSET = 0x248
SETUP_HEADER_END = 0x250

FIRST_PROTOCOL_WITH_PAYLOAD = 0x0208
SECTOR = 512


def _is_image(head: bytes) -> bool:
    """Whether a file that begins with these bytes has a setup header."""
    return (
        len(head) >= SETUP_HEADER_END
        and head[HEADER_MAGIC : HEADER_MAGIC + 4] == b"HdrS"
        and head[BOOT_FLAG : BOOT_FLAG + 2] == b"\x55\xaa"
    )


def _payload(image: bytes, where: str) -> bytes:
    (protocol,) = struct.unpack_from("<H", image, PROTOCOL_VERSION)
    if protocol < FIRST_PROTOCOL_WITH_PAYLOAD:
        found = f"its boot protocol {protocol:#06x} does not say where the payload is"
        raise Refusal(IMAGE_MALFORMED, where, found)
    # boot.rst: for backwards compatibility, a setup_sects of 0 means 4.
    sectors = image[SETUP_SECTS] or 4
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    start = (sectors + 1) * SECTOR + offset
    if length <= 4 or start + length > len(image):
        end = f"byte {start + length:,}, but the file ends at {len(image):,}"
        raise Refusal(IMAGE_MALFORMED, where, f"its payload should end at {end}")
    return image[start : start + length]


IMAGE = BootImage(
    path="arch/x86/boot/bzImage",
    head=SETUP_HEADER_END,
    is_image=_is_image,
    payload=_payload,
    kallsyms_name="x86_64",
)
