# SPDX-License-Identifier: GPL-2.0-or-later
"""Bootable images: boot code around a compressed kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BootImage:
    """The bootable image of an architecture.

    :ivar path: its path in a built tree.
    :ivar is_image: whether a file is such an image, by its first `head` bytes.
    :ivar payload: image, and its name for messages -> the compressed ELF file, with its size behind
        it (``scripts/Makefile.lib: size_append``); raises a `Refusal` ``image-malformed``.
    :ivar kallsyms_name: vmlinux-to-elf's name of the architecture.
    """

    path: str
    head: int
    is_image: Callable[[bytes], bool]
    payload: Callable[[bytes, str], bytes]
    kallsyms_name: str
