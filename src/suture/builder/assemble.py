# SPDX-License-Identifier: GPL-2.0-or-later
"""From the parts of a live patch to its model and the objects to link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from suture.builder.part import Authored, Cut
from suture.diff.hooks import CALLBACKS
from suture.elf.object import ObjectFile
from suture.errors import FUNCTION_REPLACED_TWICE, Refusal
from suture.link import klp
from suture.link.callbacks import Hooked
from suture.model import VMLINUX, ExternalSymbol, LivePatch, PatchedFunction, PatchedObject

DATA = "data_"
"""Begins the file names of objects with the contents of variables that change in memory."""


def assemble(
    name: str, replace: bool, cuts: Sequence[Cut], authored: Sequence[Authored] = ()
) -> tuple[LivePatch, dict[str, ObjectFile], tuple[Hooked, ...]]:
    """Join the parts of a live patch: return its model, the objects to link by file name, and the
    functions that the patch wants called.

    :param authored: authors' modules; their global names are numbered before those of the cuts.
    :raises Refusal: ``function-replaced-twice``
    """
    _refuse_twice(authored, cuts)
    functions: dict[str, list[PatchedFunction]] = {}
    objects: dict[str, ObjectFile] = {}
    hooked: list[Hooked] = []
    count = sum(module.entries for module in authored)
    for number, module in enumerate(authored):
        for part_number, obj in enumerate(module.objects.values()):
            objects[f"module_{number}_{part_number}"] = obj
        for patched in module.patch.objects:
            functions.setdefault(patched.name, []).extend(patched.functions)
            hooked += [
                Hooked(patched.name, module.where, CALLBACKS[c.kind], c.function, c.function)
                for c in patched.callbacks
            ]
    for number, cut in enumerate(cuts):
        part, entries = klp.with_entries(cut.output, count)
        part, calls = klp.with_calls(cut.output, part, len(hooked))
        if len(part.sections) > 1:
            objects[f"part_{number}"] = part
        if cut.contents is not None:
            objects[f"{DATA}{number}"] = cut.contents
        count += len(entries)
        if _is_resolved_with_its_object(cut):
            functions.setdefault(cut.output.objname, [])
        for (old_name, position), entry in zip(cut.functions, entries, strict=True):
            function = PatchedFunction(old_name, position, entry.name, cut.origin)
            functions.setdefault(cut.output.objname, []).append(function)
        for call, entry in zip(cut.output.calls, calls, strict=True):
            own_name = part.symbols[entry.symbol].name
            hooked.append(Hooked(cut.output.objname, cut.source, call.stage, own_name, entry.name))
    all_patched = tuple(
        PatchedObject(objname, tuple(replaced)) for objname, replaced in sorted(functions.items())
    )
    return LivePatch(name, all_patched, replace), objects, tuple(hooked)


def _is_resolved_with_its_object(cut: Cut) -> bool:
    """Whether the core has to apply relocations of this code when its object is there.

    The core does so for the objects in ``klp_patch.objs`` only (kernel/livepatch/core.c:
    klp_init_object_loaded()), also for one that no function is replaced in.  Example: a new
    ``suture_is_root()`` in configfs calls ``configfs_is_root()``, and only null_blk has a function
    that is replaced; without configfs in the list, that call would keep its unresolved address.
    """
    objname, outside = cut.output.objname, cut.output.outside.values()
    return objname != VMLINUX and any(
        isinstance(one, ExternalSymbol) and one.objname != VMLINUX for one in outside
    )


def _refuse_twice(authored: Sequence[Authored], cuts: Sequence[Cut]) -> None:
    """Refuse a function that two parts of the live patch replace."""
    seen: dict[tuple[str, str, int], str] = {}
    for key, where in (*_of_modules(authored), *_of_cuts(cuts)):
        if key in seen:
            objname, name, _ = key
            raise Refusal(
                FUNCTION_REPLACED_TWICE,
                where,
                f"{name}() of {objname} is replaced by {seen[key]} too",
            )
        seen[key] = where


def _of_modules(authored: Sequence[Authored]) -> Iterator[tuple[tuple[str, str, int], str]]:
    for authored_module in authored:
        for function in authored_module.checked:
            key = function.objname, function.function, function.sympos
            yield key, authored_module.module.line_of(function.new)


def _of_cuts(cuts: Sequence[Cut]) -> Iterator[tuple[tuple[str, str, int], str]]:
    for cut in cuts:
        for name, sympos in cut.functions:
            yield (cut.output.objname, name, sympos), cut.source
