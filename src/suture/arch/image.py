# SPDX-License-Identifier: GPL-2.0-or-later
"""The image that is booted: boot code around a compressed kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BootImage:
    """:ivar path: where it is in a tree that was built.
    :ivar is_image: whether a file is one, by its first `head` bytes.
    :ivar payload: the compressed ELF file in an image, with its size behind it
        (``scripts/Makefile.lib: size_append``); takes the image's name for the message, and raises
        a `Refusal` ``image-malformed``.
    :ivar kallsyms_name: what vmlinux-to-elf calls the architecture.
    """

    path: str
    head: int
    is_image: Callable[[bytes], bool]
    payload: Callable[[bytes, str], bytes]
    kallsyms_name: str
