# SPDX-License-Identifier: GPL-2.0-or-later
"""The effects of code on memory and on the registers of the C calling convention."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Protocol


class Access(Enum):
    """The use that an instruction makes of the memory to which one of its fields refers."""

    READ = auto()
    STORE = auto()
    ADDRESS = auto()
    """It computes with the address or saves it; what happens there later is unknown."""


class Effects(Protocol):
    """Finds effects in the code of one function; a module of functions will do."""

    def access(self, code: bytes, field: int) -> tuple[Access, int]:
        """Return the use that the instruction with a relocated field at offset `field` makes of it.

        :return: also the number of bytes, from the place to which the field refers; 0 if the
            instruction may use other bytes.
        """

    def returns_zero_after(self, code: bytes, is_relocated: bool, before: bool) -> bool:
        """Whether the register of a returned ``int`` is certain to hold 0 after one instruction.

        :param code: the instruction, which is neither a jump nor a call.
        :param is_relocated: it has a relocated field.
        :param before: the register held 0 before it.
        """

    def arguments(
        self, code: bytes, relocated: frozenset[int], calls: Mapping[int, int]
    ) -> list[int | None]:
        """Return the constants that a function passes to others, in the order of its calls; None
        for an argument that it computes at run time.

        :param relocated: the offsets of relocated fields in `code`.
        :param calls: offset of the target of a call in `code` -> the wanted argument, from 0.
        """
