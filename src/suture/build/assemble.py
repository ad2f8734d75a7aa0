# SPDX-License-Identifier: GPL-2.0-or-later
"""From the parts of a live patch to its model and the objects to link."""

from __future__ import annotations

from collections.abc import Sequence

from suture.build.part import Cut
from suture.elf.object import ObjectFile
from suture.errors import FUNCTION_REPLACED_TWICE, Refusal
from suture.link import klp
from suture.link.callbacks import Hooked
from suture.model import LivePatch, PatchedFunction, PatchedObject


def assemble(
    name: str, replace: bool, cuts: Sequence[Cut]
) -> tuple[LivePatch, dict[str, ObjectFile], tuple[Hooked, ...]]:
    """The model that the glue is written from, the objects to link, by file name, and what the patch wants called.

    :raises Refusal: ``function-replaced-twice``
    """
    _refuse_twice(cuts)
    functions: dict[str, list[PatchedFunction]] = {}
    objects: dict[str, ObjectFile] = {}
    hooked: list[Hooked] = []
    count = 0
    for number, cut in enumerate(cuts):
        part, entries = klp.with_entries(cut.output, count)
        part, calls = klp.with_calls(cut.output, part, len(hooked))
        if len(part.sections) > 1:
            objects[f"part_{number}"] = part
        if cut.contents is not None:
            objects[f"data_{number}"] = cut.contents
        count += len(entries)
        for (old_name, position), entry in zip(cut.functions, entries, strict=True):
            function = PatchedFunction(old_name, position, entry.name, cut.source)
            functions.setdefault(cut.output.objname, []).append(function)
        for call, entry in zip(cut.output.calls, calls, strict=True):
            own_name = part.symbols[entry.symbol].name
            hooked.append(Hooked(cut.output.objname, cut.source, call.stage, own_name, entry.name))
    patched = tuple(PatchedObject(objname, tuple(replaced)) for objname, replaced in sorted(functions.items()))
    return LivePatch(name, patched, replace), objects, tuple(hooked)


def _refuse_twice(cuts: Sequence[Cut]) -> None:
    replaced: dict[tuple[str, str, int], str] = {}
    for cut in cuts:
        for name, sympos in cut.functions:
            place = cut.output.objname, name, sympos
            if place in replaced:
                found = f"{name}() of {cut.output.objname} is replaced by {replaced[place]} too"
                raise Refusal(FUNCTION_REPLACED_TWICE, cut.source, found)
            replaced[place] = cut.source
