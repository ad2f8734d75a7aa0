# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything in a shipped object that leads to one address: who calls it, and whether its address
is used otherwise.

Nothing but the linked bytes says what the kernel calls, for object files are only looked at where
they are suspected. `suture.arch.search` finds what leads to an address.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from suture.arch.search import absolute, relative
from suture.elf.object import WORD
from suture.objects.special import sections
from suture.verify.shipped import Region, Shipped

NO_POINTERS = (
    ".BTF",
    ".notes",
    "__kcrctab",
    "__ksymtab_strings",
    ".modinfo",
    "__versions",
    ".exit.data",
)
"""Sections, by how their names begin, in which nothing is an address that somebody would call."""

ABOUT_CODE = frozenset({"_kprobe_blacklist", "_error_injection_whitelist"})
"""Sections whose entries say where code is, but not that it is to be called, as those of special
sections do."""

LISTS = (
    ("__start_kprobe_blacklist", "__stop_kprobe_blacklist"),
    ("__start_error_injection_whitelist", "__stop_error_injection_whitelist"),
    ("__start_mcount_loc", "__stop_mcount_loc"),
    ("__start___jump_table", "__stop___jump_table"),
    ("__start_static_call_sites", "__stop_static_call_sites"),
)
"""The same inside other sections of the core kernel (include/asm-generic/vmlinux.lds.h)."""


@dataclass(frozen=True, slots=True)
class Sites:
    """What leads to an address.

    :ivar calls: the address of each call or jump's field -> where the symbol is that it belongs to.
    :ivar taken: other uses, in words.
    """

    calls: dict[int, int]
    taken: tuple[str, ...]


def scan(shipped: Shipped, target: int) -> Sites:
    """Find what leads to `target` in an object; what is freed after init is left out where it is
    code."""
    calls: dict[int, int] = {}
    taken: list[str] = []
    arch = shipped.arch
    no_pointers = (*NO_POINTERS, *arch.sections.no_pointers)
    about_code = ABOUT_CODE | sections(arch).keys()
    for region in shipped.regions():
        code, address = region.data, region.address
        if region.is_code and region.name not in arch.sections.carried_along:
            for lead in arch.search.leads(code, address, target, partial(_start, shipped, region)):
                if lead.is_branch:
                    calls[lead.field] = shipped.start(lead.field) or 0
                else:
                    taken.append(_words(shipped, region, lead.field))
        elif region.is_code:
            suspects = arch.search.suspects(code, address, target)
            taken += [_words(shipped, region, field) for field in suspects]
        elif not region.name.startswith(no_pointers) and region.name not in about_code:
            order = arch.machine.order
            fields = {f for f in relative(code, address, target, 0, order) if f % 4 == 0} | set(
                absolute(code, address, target, WORD, order)
            )
            taken += [
                _words(shipped, region, f)
                for f in sorted(fields)
                if not _is_excused(shipped, region, f)
            ]
    return Sites(calls, tuple(taken))


def _is_excused(shipped: Shipped, region: Region, field: int) -> bool:
    if region.name.startswith("__ksymtab"):
        return True  # the modules that link with it are looked at by themselves
    bounds = [(shipped.addresses(begin), shipped.addresses(end)) for begin, end in LISTS]
    return any(begin and end and begin[0] <= field < end[0] for begin, end in bounds)


def _words(shipped: Shipped, region: Region, field: int) -> str:
    start = shipped.start(field)
    names = shipped.names(start) if start is not None and start >= region.address else ()
    return (
        f"{names[-1]}+{field - (start or 0):#x}"
        if names
        else f"{region.name}+{field - region.address:#x}"
    )


def _start(shipped: Shipped, region: Region, field: int) -> int:
    """Where the function starts that a field is in, as far as symbols tell."""
    start = shipped.start(field)
    return region.address if start is None or start < region.address else start
