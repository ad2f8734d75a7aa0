# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory of the core kernel that boot frees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BOUNDS = ("__init_begin", "__init_end", "__per_cpu_start", "__per_cpu_end")
"""The symbols around it, and around what it holds of per-CPU data."""


@dataclass(frozen=True, slots=True)
class InitMemory:
    """The addresses from ``__init_begin`` to ``__init_end``, which free_initmem() frees (mm/init.c,
    arch/x86/mm/init.c).

    Since 6.15, x86 links per-CPU variables between the two, such as ``nr_dentry``.  Their first
    copy is freed, and each processor has its own, found by the same address: they are there as long
    as the kernel runs.
    """

    begin: int
    end: int
    per_cpu_begin: int
    per_cpu_end: int

    @classmethod
    def of(cls, addresses: Mapping[str, int]) -> InitMemory:
        """Read the addresses of `BOUNDS`; without the first two, nothing is freed."""
        return cls(*(addresses.get(name, 0) for name in BOUNDS))

    def holds(self, address: int) -> bool:
        """Whether boot frees what is linked at an address."""
        is_per_cpu = self.per_cpu_begin <= address < self.per_cpu_end
        return self.begin <= address < self.end and not is_per_cpu
