# SPDX-License-Identifier: GPL-2.0-or-later
"""objtool at the link of a module: the names that it sees, and the warnings that it prints.

Where kbuild delays objtool to the link, objtool makes the unwind data of the patched code there.
The livepatch core relies on that data to see whether a task still runs old code, so a module with
doubtful data is refused.

objtool knows some functions by name, among them those that never return
(tools/objtool/noreturns.h), and follows code no further after a call of one.  A pending symbol
hides such a name: a patched ``get_signal()`` calls ``vmlinux:.klp.sym.vmlinux.do_group_exit,0``,
and objtool would take the bytes after that call for reachable code.  So these symbols have their
plain names during the link.
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

_WARNING = re.compile(r"^.*?(?:warning|error): objtool: (.*)$", re.MULTILINE)


def refuse_doubts(name: str, output: str, build: KernelBuild) -> None:
    """Refuse a module that objtool warned about.

    :param output: what kbuild printed at the link.
    :param build: the architecture's list of harmless warnings.
    :raises Refusal: ``unwind-data-doubtful``
    """
    doubts = [
        warning
        for warning in _WARNING.findall(output)
        if not any(re.fullmatch(pattern, warning) for pattern in build.harmless)
    ]
    if doubts:
        raise Refusal(UNWIND_DATA_DOUBTFUL, name, doubts[0], evidence=doubts[1:9])


def known_names(tree: Path) -> bytes:
    """Return the program's bytes, which contain every name that it knows; b"" without objtool."""
    try:
        return (tree / PROGRAM).read_bytes()
    except OSError:
        return b""


def with_plain_names(
    objects: Mapping[str, ObjectFile], known: bytes
) -> tuple[dict[str, ObjectFile], dict[str, str]]:
    """Give pending symbols of the core kernel the names that objtool knows.

    :param known: the result of `known_names`.
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


def with_pending_names(module: ObjectFile, back: Mapping[str, str]) -> ObjectFile:
    """Undo `with_plain_names` in the linked module."""
    return _renamed(module, back)


def _renamed(obj: ObjectFile, names: Mapping[str, str]) -> ObjectFile:
    symbols = tuple(
        replace(symbol, name=names[symbol.name])
        if symbol.is_undefined and symbol.name in names
        else symbol
        for symbol in obj.symbols
    )
    return replace(obj, symbols=symbols)
