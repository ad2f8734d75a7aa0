# SPDX-License-Identifier: GPL-2.0-or-later
"""In which sections two ELF files differ."""

from __future__ import annotations

import io
from collections import Counter

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

BUILD_ID = ".note.gnu.build-id"
MOST = 6
"""Sections that are named; how many more there are is told."""


def differing(before: bytes, after: bytes) -> list[str]:
    """What differs, in short; for files that are no ELF files, the first byte that does."""
    try:
        old, new = _contents(before), _contents(after)
    except ELFError:
        return [f"from byte {_first_byte(before, after)} on"]
    found = [name for name in old if name in new and old[name] != new[name]]
    found += [f"{name} is gone" for name in old if name not in new]
    found += [f"{name} is new" for name in new if name not in old]
    if not found:
        return ["the order of sections" if list(old) != list(new) else "between the sections"]
    more = [f"and {len(found) - MOST} more"] if len(found) > MOST else []
    return found[:MOST] + more


def only_build_id(before: bytes, after: bytes) -> bool:
    """Whether two ELF files are equal in all bytes but those of the build ID.

    The linker makes it of more than stays in a module: of debug information too, which names the
    directory with a name made up for each run in which an author's module is compiled.
    """
    try:
        return _without_build_id(before) == _without_build_id(after)
    except ELFError:
        return False


def _without_build_id(data: bytes) -> bytes:
    section = ELFFile(io.BytesIO(data)).get_section_by_name(BUILD_ID)
    if section is None:
        return data
    start, size = section["sh_offset"], section["sh_size"]
    return data[:start] + bytes(size) + data[start + size :]


def _contents(data: bytes) -> dict[str, tuple[str, int, bytes]]:
    """Type, flags and bytes of each section; later ones of the same name are numbered."""
    seen: Counter[str] = Counter()
    found: dict[str, tuple[str, int, bytes]] = {}
    for section in ELFFile(io.BytesIO(data)).iter_sections():
        seen[section.name] += 1
        number = f" ({seen[section.name]})" if seen[section.name] > 1 else ""
        content = b"" if section["sh_type"] == "SHT_NOBITS" else section.data()
        found[section.name + number] = (section["sh_type"], section["sh_flags"], content)
    return found


def _first_byte(before: bytes, after: bytes) -> int:
    both = zip(before, after, strict=False)
    return next(
        (at for at, (old, new) in enumerate(both) if old != new), min(len(before), len(after))
    )
