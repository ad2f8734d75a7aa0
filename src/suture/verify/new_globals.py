# SPDX-License-Identifier: GPL-2.0-or-later
"""Global functions and variables that a patch adds, beside those that the kernel has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from suture.errors import GLOBAL_DEFINED_TWICE, STRONG_OVER_WEAK, Refusal
from suture.kernel.symvers import Export
from suture.objects.view import Unit
from suture.verify.plan import ComparedFile


def refuse_second_definitions(
    files: Sequence[ComparedFile], exported: Callable[[str], Export | None]
) -> None:
    """Refuse a new global name that something else has already.

    Example: arch/x86/mm/hugetlbpage.c gets a ``vma_mmu_pagesize()``.  mm/hugetlb.c has a weak one,
    which everything in the running kernel calls: the new function would be called by nobody.

    :param exported: returns the export of a name; None where there is none.
    :raises Refusal: ``global-defined-twice``, ``strong-over-weak``
    """
    seen: dict[str, str] = {}
    for file in files:
        for unit in file.changes.provided:
            for name in (unit.name, *unit.aliases):
                where = f"{file.source}: {_called(unit, name)}"
                if name in seen:
                    raise Refusal(
                        GLOBAL_DEFINED_TWICE, where, f"the patch adds it to {seen[name]} as well"
                    )
                seen[name] = file.source
                _refuse_of_kernel(file, name, where)
                export = exported(name)
                if export is not None:
                    raise Refusal(GLOBAL_DEFINED_TWICE, where, f"{export.module} exports one")


def _refuse_of_kernel(file: ComparedFile, name: str, where: str) -> None:
    """Refuse a name that the file's object has; what was freed after init is no longer there."""
    shipped = file.addresses.shipped
    for address in shipped.global_addresses(name):
        if shipped.is_discarded(address):
            continue
        if shipped.is_weak(name, address):
            raise Refusal(STRONG_OVER_WEAK, where, f"{shipped.objname} has a weak one")
        raise Refusal(GLOBAL_DEFINED_TWICE, where, f"{shipped.objname} has one already")


def _called(unit: Unit, name: str) -> str:
    return f"{name}()" if unit.is_function else name
