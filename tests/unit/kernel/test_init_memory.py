# SPDX-License-Identifier: GPL-2.0-or-later
"""What boot frees, and what is only linked among it."""

from __future__ import annotations

import pytest

from suture.kernel.init_memory import InitMemory

BOUNDS = {
    "__init_begin": 0x1000,
    "__per_cpu_start": 0x2000,
    "__per_cpu_end": 0x3000,
    "__init_end": 0x4000,
}
"""As x86 links them since 6.15."""


@pytest.mark.parametrize(
    ("address", "is_freed"),
    [
        (0xFFF, False),
        (0x1000, True),
        (0x1FFF, True),
        (0x2000, False),
        (0x2FFF, False),
        (0x3000, True),
        (0x3FFF, True),
        (0x4000, False),
    ],
)
def test_per_cpu_variables_stay(address: int, is_freed: bool) -> None:
    assert InitMemory.of(BOUNDS).holds(address) == is_freed


def test_per_cpu_variables_elsewhere_make_no_difference() -> None:
    """Until 6.14 they are linked at 0."""
    older = InitMemory.of(BOUNDS | {"__per_cpu_start": 0, "__per_cpu_end": 0x800})
    assert older.holds(0x2000)
    assert not older.holds(0x700)


def test_without_bounds_nothing_is_freed() -> None:
    assert not InitMemory.of({}).holds(0)
    assert not InitMemory.of({"__per_cpu_start": 0, "__per_cpu_end": 0x800}).holds(0x100)
