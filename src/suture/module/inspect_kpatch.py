# SPDX-License-Identifier: GPL-2.0-or-later
"""Read modules of kpatch-build back into the model: their tables say what they replace
(`suture.module.kpatch`).

That goes for modules for kpatch's own core, for what its comparison step leaves, and for its
modules for the kernel's core, whose ``struct klp_patch`` is only made from the same tables when
they are loaded.
"""

from __future__ import annotations

from pathlib import Path

from suture.elf.object import STT_FUNC, ObjectFile
from suture.model import Callback, ExternalSymbol, LivePatch, PatchedFunction, PatchedObject
from suture.module.kpatch import Dynrela, KpatchObject, Place, read_kpatch


def model_of(module: ObjectFile, name: str, replace: bool) -> LivePatch:
    """Read a module for kpatch's own core as a `LivePatch`.

    :raises Refusal: ``kpatch-object-malformed``
    """
    said = read_kpatch(module)
    functions = {
        (symbol.shndx, symbol.value): symbol.name for _, symbol in module.symbols_of_type(STT_FUNC)
    }
    owners = sorted({one.objname for one in said.functions} | {one.objname for one in said.calls})
    objects = (
        PatchedObject(owner, _functions(said, owner, functions), _calls(said, owner, functions))
        for owner in owners
    )
    return LivePatch(name or Path(module.name).stem, tuple(objects), replace)


def dynrelas_of(module: ObjectFile) -> tuple[tuple[Dynrela, ExternalSymbol], ...]:
    """The references to symbols that are not exported."""
    found = read_kpatch(module).dynrelas
    return tuple(
        (one, ExternalSymbol(one.owner, one.name, one.sympos or 0)) for one in found if one.owner
    )


def imports_of(module: ObjectFile) -> tuple[str, ...]:
    """Those to symbols that are exported, each once."""
    return tuple(dict.fromkeys(one.name for one in read_kpatch(module).dynrelas if not one.owner))


def _functions(
    said: KpatchObject, owner: str, names: dict[Place, str]
) -> tuple[PatchedFunction, ...]:
    mine = (function for function in said.functions if function.objname == owner)
    return tuple(PatchedFunction(one.name, one.sympos or 0, names.get(one.new, "")) for one in mine)


def _calls(said: KpatchObject, owner: str, names: dict[Place, str]) -> tuple[Callback, ...]:
    mine = ((call.kind, call) for call in said.calls if call.objname == owner)
    return tuple(
        Callback(kind, names.get(call.function, "")) for kind, call in mine if kind is not None
    )
