# SPDX-License-Identifier: GPL-2.0-or-later
"""Places in a shipped object that lead to one address: calls and jumps, and other uses.

The linked bytes are searched (`suture.arch.search`), because only they show every caller: files are
compiled only where a caller is suspected.
"""

from __future__ import annotations

from collections.abc import Iterable
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
"""Prefixes of sections that hold no addresses to call."""

ABOUT_CODE = frozenset({"_kprobe_blacklist", "_error_injection_whitelist"})
"""Sections with entries that only say where code is, as those of special sections do."""

LISTS = (
    ("__start_kprobe_blacklist", "__stop_kprobe_blacklist"),
    ("__start_error_injection_whitelist", "__stop_error_injection_whitelist"),
    ("__start_mcount_loc", "__stop_mcount_loc"),
    ("__start___jump_table", "__stop___jump_table"),
    ("__start_static_call_sites", "__stop_static_call_sites"),
    # distances from here to all functions since 7.0 (kernel/kallsyms.c: kallsyms_sym_address())
    ("kallsyms_offsets", "kallsyms_seqs_of_names"),
)
"""Symbols around such lists inside other sections of the core kernel
(include/asm-generic/vmlinux.lds.h)."""


@dataclass(frozen=True, slots=True)
class Sites:
    """The places that lead to an address.

    :ivar calls: address of the field of each call or jump -> address of the symbol around it.
    :ivar address_uses: other uses, in words.
    """

    calls: dict[int, int]
    address_uses: tuple[str, ...]


def scan(shipped: Shipped, target: int) -> Sites:
    """Find the places in an object that lead to `target`.

    Example: ``store_uevent()`` (kernel/module/main.c) calls ``kobject_synth_uevent()``; its call is
    one of `calls`.  The address of ``store_uevent()`` itself is stored in ``module_uevent`` for
    sysfs; that is one of its `address_uses`.
    """
    calls: dict[int, int] = {}
    uses: list[str] = []
    for region in shipped.regions():
        if _is_plain_code(shipped, region):
            start = partial(_function_start, shipped, region)
            for lead in shipped.arch.search.leads(region.data, region.address, target, start):
                if lead.is_branch:
                    calls[lead.field] = shipped.start(lead.field) or 0
                else:
                    uses.append(_place(shipped, region, lead.field))
        else:
            uses += [_place(shipped, region, field) for field in _uses(shipped, region, target)]
    return Sites(calls, tuple(uses))


def _is_plain_code(shipped: Shipped, region: Region) -> bool:
    """Whether functions of a region start where symbols say; pieces of alternatives have none."""
    return region.is_code and region.name not in shipped.arch.sections.carried_along


def _uses(shipped: Shipped, region: Region, target: int) -> Iterable[int]:
    """Return the addresses of fields outside plain code that may lead to `target`."""
    arch = shipped.arch
    if region.is_code:
        return arch.search.suspects(region.data, region.address, target)
    no_pointers = (*NO_POINTERS, *arch.sections.no_pointers)
    about_code = ABOUT_CODE | sections(arch).keys()
    if region.name.startswith(no_pointers) or region.name in about_code:
        return ()
    order = arch.machine.order
    fields = set(absolute(region.data, region.address, target, WORD, order))
    for field in relative(region.data, region.address, target, 0, order):
        if field % 4 == 0:
            fields.add(field)
    return [field for field in sorted(fields) if not _is_excused(shipped, region, field)]


def _is_excused(shipped: Shipped, region: Region, field: int) -> bool:
    """Whether nothing calls through a field: an export, or an entry of `LISTS`."""
    if region.name.startswith("__ksymtab"):
        return True  # modules that link with the export are searched one by one
    bounds = [(shipped.addresses(begin), shipped.addresses(end)) for begin, end in LISTS]
    return any(begin and end and begin[0] <= field < end[0] for begin, end in bounds)


def _place(shipped: Shipped, region: Region, field: int) -> str:
    """Name a field by the symbol or region around it."""
    start = shipped.start(field)
    names = shipped.names(start) if start is not None and start >= region.address else ()
    if start is None or not names:
        return f"{region.name}+{field - region.address:#x}"
    return f"{names[-1]}+{field - start:#x}"


def _function_start(shipped: Shipped, region: Region, field: int) -> int:
    """Return the address of the last symbol before a field, or of its region."""
    start = shipped.start(field)
    return region.address if start is None or start < region.address else start
