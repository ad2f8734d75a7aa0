# SPDX-License-Identifier: GPL-2.0-or-later
"""What code does with memory and with the registers that the C calling convention names."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Protocol


class Access(Enum):
    """What an instruction does with what a field of it refers to."""

    READ = auto()
    STORE = auto()
    ADDRESS = auto()
    """Neither, or what else cannot be seen: it computes with the address, or keeps it."""


class Effects(Protocol):
    """What can be told from the code of one function; a module of functions will do."""

    def access(self, code: bytes, field: int) -> tuple[Access, int]:
        """What the instruction with a relocated field at offset `field` does.

        :return: and to how many bytes from what the field refers to; 0 where that may be others.
        """

    def returns_zero_after(self, code: bytes, is_relocated: bool, before: bool) -> bool:
        """Whether the register of a returned ``int`` surely holds 0 after one instruction.

        :param code: the instruction, which is no jump and no call.
        :param is_relocated: something is filled in in it.
        :param before: whether the register held 0 before it.
        """

    def arguments(
        self, code: bytes, relocated: frozenset[int], calls: Mapping[int, int]
    ) -> list[int | None]:
        """The constants that a function hands to others, in the order of its calls; None for what
        is worked out at run time.

        :param relocated: where in `code` something is filled in.
        :param calls: where in `code` the target of a call stands -> which argument is asked for,
            from 0.
        """
