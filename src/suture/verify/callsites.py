# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything in a shipped object that leads to one address: who calls it, and whether its address
is used otherwise.

Nothing but the linked bytes says what the kernel calls, for object files are only looked at where
they are suspected. A field that leads to an address is found by its bytes, without decoding all of
the code; what stands around each candidate is then decoded from the start of its function.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from iced_x86 import Code, Decoder, Instruction

from suture.elf.relocations.x86_64 import is_direct_branch
from suture.objects.special import SECTIONS
from suture.verify.shipped import Region, Shipped

NO_POINTERS = (
    ".BTF",
    ".notes",
    ".orc_",
    "__kcrctab",
    "__ksymtab_strings",
    ".modinfo",
    "__versions",
    ".exit.data",
)
"""Sections, by how their names begin, in which nothing is an address that somebody would call."""

ABOUT_CODE = frozenset(
    {special.name for special in SECTIONS} | {"_kprobe_blacklist", "_error_injection_whitelist"}
)
"""Sections whose entries say where code is, but not that it is to be called."""

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
    for region in shipped.regions():
        if region.is_code and not region.name.startswith(".altinstr"):
            for field in _relative(region, target, 4):
                instruction = _around(shipped, region, field)
                if instruction is None or _reads(instruction, field, target):
                    taken.append(_words(shipped, region, field))
                elif is_direct_branch(instruction) and instruction.near_branch_target == target:
                    calls[field] = shipped.start(field) or 0
            for field in _absolute(region, target, 4):
                instruction = _around(shipped, region, field)
                if instruction is None or _holds(instruction, field):
                    taken.append(_words(shipped, region, field))
        elif region.is_code:
            taken += [_words(shipped, region, field) for field in _relative(region, target, 4)]
        elif not region.name.startswith(NO_POINTERS) and region.name not in ABOUT_CODE:
            fields = {f for f in _relative(region, target, 0) if f % 4 == 0} | set(
                _absolute(region, target, 8)
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


def _around(shipped: Shipped, region: Region, field: int) -> Instruction | None:
    """The instruction that holds the first byte of a field; None where there is no telling what is
    code."""
    start = shipped.start(field)
    begin = region.address if start is None or start < region.address else start
    data = region.data[begin - region.address : field - region.address + 16]
    for instruction in Decoder(64, data, ip=begin):
        if instruction.code == Code.INVALID:
            return None
        if instruction.next_ip > field:
            return instruction
    return None


def _reads(instruction: Instruction, field: int, target: int) -> bool:
    """It works with the address, relative to itself: ``lea``, or what reads code as data."""
    return (
        instruction.is_ip_rel_memory_operand
        and field > instruction.ip
        and instruction.ip_rel_memory_address == target
    )


def _holds(instruction: Instruction, field: int) -> bool:
    """All of the field is in the instruction, behind its first byte."""
    return instruction.ip < field and field + 4 <= instruction.next_ip


def _absolute(region: Region, target: int, size: int) -> Iterator[int]:
    """The addresses of fields of `size` bytes that hold `target` itself, wherever they stand."""
    wanted = (target % (1 << 8 * size)).to_bytes(size, "little")
    position = region.data.find(wanted)
    while position >= 0:
        yield region.address + position
        position = region.data.find(wanted, position + 1)


def _relative(region: Region, target: int, bias: int) -> Iterator[int]:
    """The addresses of 32-bit fields that lead to `target` from `bias` bytes after their start.

    The upper half of such a field is the same over 64 KB, so that it can be searched for.
    """
    data, last = region.data, len(region.data) - 4
    position = 0
    while position <= last:
        distance = (target - (region.address + position + bias)) % 2**32
        upper = (distance >> 16).to_bytes(2, "little")
        stop = (
            min(position + (distance & 0xFFFF), last) + 1
        )  # the first place with another upper half
        found = data.find(upper, position + 2, stop + 3)
        while found >= 0:
            place = found - 2
            wanted = (target - (region.address + place + bias)) % 2**32
            if place < stop and int.from_bytes(data[place : place + 4], "little") == wanted:
                yield region.address + place
            found = data.find(upper, found + 1, stop + 3)
        position = stop
