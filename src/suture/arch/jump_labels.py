# SPDX-License-Identifier: GPL-2.0-or-later
"""Static branches: jumps that the kernel writes and removes (``include/linux/jump_label.h``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JumpLabels:
    """An architecture's ``arch_static_branch()``.

    :ivar header: the file that defines it, in the kernel's source.
    :ivar reading_keys: that file -> one with branches that read ``static_key.enabled`` each time.
        Operands, labels and the number of lines stay; assembly files see no change.
    :ivar reads_key: two instructions of a branch from `reading_keys` -> whether it is taken when
        the key is not 0; None if they are not such a branch.
    :ivar made_nop: code that starts with the jump of a branch -> the no-op that objtool writes in
        its place where `suture.verify.nops.MADE_NOP` is set; None if it starts with no such jump.
    """

    header: str
    reading_keys: Callable[[bytes], bytes]
    reads_key: Callable[[bytes, bytes], bool | None]
    made_nop: Callable[[bytes], bytes | None]
