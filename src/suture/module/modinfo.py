# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch module says about itself that the core's tables have no place for: entries of
its ``.modinfo``.

====================  ==========================================================================
``livepatch_source``  ``OBJECT:FUNCTION,SYMPOS FILE``: the file that the new code of a function
                      comes from
``livepatch_shadow``  the number of a shadow variable, hexadecimal; ``?`` for one that the code
                      works out
``livepatch_found``   a danger that the author accepts, a warning or a question: a JSON object with
                      the fields of `RecordedFinding`
``livepatch_fix``      what the live patch is for: a JSON object with the fields of `Fix`
``livepatch_stays``   why the live patch stays in memory until the reboot: an address in it that
                      it hands out
``livepatch_suture``  the version of Suture that made it
====================  ==========================================================================

The kernel passes over entries that it does not know (kernel/module/main.c: get_next_modinfo());
modinfo(8) shows them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, replace

from suture import __version__
from suture.elf.object import ObjectFile
from suture.model import Fix, LivePatch, RecordedFinding, ShadowVariable
from suture.module import fixes as fixes_of
from suture.module import staying, updates
from suture.module.staying import Staying

SECTION, SOURCE, SHADOW = ".modinfo", "livepatch_source", "livepatch_shadow"
FOUND = "livepatch_found"
STAYS = "livepatch_stays"
FIX = "livepatch_fix"
SUTURE = "livepatch_suture"

OFTEN = frozenset(
    {
        *(SOURCE, SHADOW, FOUND, STAYS, FIX),
        *("alias", "author", "firmware", "import_ns", "parm", "parmtype", "softdep"),
    }
)
"""The entries that a module may have several of (include/linux/module.h, moduleparam.h)."""

Replaced = tuple[str, str, int]
"""Object, function and sympos."""

_SOURCE = re.compile(r"([^:]+):(.+),(\d{1,9}) (.+)")


def entries(module: ObjectFile) -> tuple[tuple[str, str], ...]:
    """All entries, in order."""
    index = module.section_named(SECTION)
    texts = module.sections[index].data.decode("utf-8", "replace").split("\0") if index else []
    return tuple(
        (key, value) for key, equals, value in (text.partition("=") for text in texts) if equals
    )


def grouped(info: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Return entries by their keys: a list for those that a module may have several of, however
    many there are, and for those that it has several of all the same."""
    found: dict[str, list[str]] = {}
    for key, value in info:
        found.setdefault(key, []).append(value)
    return {
        key: values if key in OFTEN or len(values) > 1 else values[0]
        for key, values in found.items()
    }


def with_entries(module: ObjectFile, patch: LivePatch) -> ObjectFile:
    """The module with entries for the sources and shadow variables of `patch` and for what it is
    for, and with marks if it stays in memory."""
    index = module.section_named(SECTION)
    assert index is not None, "modpost writes one into every module"
    said = [
        f"{SOURCE}={objname}:{function.old_name},{function.sympos} {function.source}"
        for objname, function in patch.each_function()
        if function.source
    ]
    said += [f"{SHADOW}={one}" for one in patch.shadow_variables]
    said += [f"{FOUND}={json.dumps(asdict(one))}" for one in patch.findings]
    said += [f"{FIX}={fixes_of.written(fix)}" for fix in patch.fixes]
    said += [f"{STAYS}={reason}" for reason in patch.stays]
    said.append(f"{SUTURE}={__version__}")
    old = module.sections[index]
    data = old.data + b"".join(text.encode() + b"\0" for text in said)
    changed = replace(old, data=data, size=len(data))
    described = replace(
        module, sections=(*module.sections[:index], changed, *module.sections[index + 1 :])
    )
    described = fixes_of.with_note(described, patch.fixes)
    described = updates.with_note(described, patch.update)
    if not patch.stays:
        return described
    return staying.with_note(described, Staying(patch.name, patch.stays))


def sources(info: Iterable[tuple[str, str]]) -> dict[Replaced, str]:
    """The file that each function's new code comes from, where that is said."""
    parts = (_SOURCE.fullmatch(value) for key, value in info if key == SOURCE)
    return {(match[1], match[2], int(match[3])): match[4] for match in parts if match}


def shadows(info: Iterable[tuple[str, str]]) -> tuple[ShadowVariable, ...]:
    """The shadow variables that are said."""
    found = (ShadowVariable.parse(value) for key, value in info if key == SHADOW)
    return tuple(one for one in found if one is not None)


def findings(info: Iterable[tuple[str, str]]) -> tuple[RecordedFinding, ...]:
    """Return the findings that are recorded; what is not in their form is passed over."""
    found = (_finding(value) for key, value in info if key == FOUND)
    return tuple(one for one in found if one is not None)


def _finding(value: str) -> RecordedFinding | None:
    try:
        fields = json.loads(value)
        known = RecordedFinding(**fields)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (known.level, known.code, known.name, known.found, known.because)
    return known if all(isinstance(text, str) for text in texts) else None


def fixes(info: Iterable[tuple[str, str]]) -> tuple[Fix, ...]:
    """Return what the live patch is for, where that is said."""
    found = (fixes_of.parse(value) for key, value in info if key == FIX)
    return tuple(fix for fix in found if fix is not None)


def stays(info: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Why the live patch stays in memory, where that is said."""
    return tuple(value for key, value in info if key == STAYS)
