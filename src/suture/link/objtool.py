# SPDX-License-Identifier: GPL-2.0-or-later
"""What the target's objtool is given at the link of a module, and what it says.

Where kbuild leaves objtool to the link, it makes the unwind data of the patched code there.  The
livepatch core goes by that data when it looks whether a task still runs old code, so that doubtful
data is not let pass.

objtool knows some functions by name, among them those that never return
(tools/objtool/noreturns.h), and follows code accordingly.  The names under which pending symbols
are linked would hide that, so such a symbol goes by its plain name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from suture.arch.build import KernelBuild
from suture.elf.object import ObjectFile
from suture.errors import UNWIND_DATA_DOUBTFUL, Refusal
from suture.link.klp import pending_name
from suture.model import VMLINUX

PROGRAM = Path("tools/objtool/objtool")

_SAID = re.compile(r"^.*?(?:warning|error): objtool: (.*)$", re.MULTILINE)


def refuse_doubts(name: str, output: str, build: KernelBuild) -> None:
    """:param output: what kbuild printed at the link.
    :param build: which of it is harmless.

    :raises Refusal: ``unwind-data-doubtful``
    """
    doubts = [
        said
        for said in _SAID.findall(output)
        if not any(re.fullmatch(pattern, said) for pattern in build.harmless)
    ]
    if doubts:
        raise Refusal(UNWIND_DATA_DOUBTFUL, name, doubts[0], evidence=doubts[1:9])


def known_names(tree: Path) -> bytes:
    """The program, in which every name that it looks for stands as a string; nothing where there is
    none."""
    try:
        return (tree / PROGRAM).read_bytes()
    except OSError:
        return b""


def plain(
    objects: Mapping[str, ObjectFile], known: bytes
) -> tuple[dict[str, ObjectFile], dict[str, str]]:
    """Give pending symbols of the core kernel the names that objtool knows.

    :param known: what `known_names` returned.
    :return: the objects, and plain name -> pending name.
    """
    used = {symbol.name for obj in objects.values() for symbol in obj.symbols}
    plain_names: dict[str, str] = {}
    back: dict[str, str] = {}
    for name in sorted(used):
        external = pending_name(name)
        if external is None or external.objname != VMLINUX or external.name in used | back.keys():
            continue
        if external.name.encode() + b"\0" in known:
            plain_names[name], back[external.name] = external.name, name
    return {file: _renamed(obj, plain_names) for file, obj in objects.items()}, back


def pending(module: ObjectFile, back: Mapping[str, str]) -> ObjectFile:
    """Undo `plain` in the linked module."""
    return _renamed(module, back)


def _renamed(obj: ObjectFile, names: Mapping[str, str]) -> ObjectFile:
    symbols = tuple(
        replace(symbol, name=names[symbol.name])
        if symbol.is_undefined and symbol.name in names
        else symbol
        for symbol in obj.symbols
    )
    return replace(obj, symbols=symbols)
