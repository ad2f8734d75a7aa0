# SPDX-License-Identifier: GPL-2.0-or-later
"""The symbols that the kernel exports to modules (``Module.symvers``):
Documentation/kbuild/modules.rst, section 6.3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from suture.errors import SYMVERS_MALFORMED, Refusal
from suture.host import files
from suture.kernel.modules import module_name


class Export(NamedTuple):
    """One exported symbol.

    :ivar crc: the CRC of its prototype with ``CONFIG_MODVERSIONS``, or 0.
    :ivar module: the object that holds it, by livepatch's names: ``vmlinux``, ``snd_pcm``.
    :ivar kind: ``EXPORT_SYMBOL`` or ``EXPORT_SYMBOL_GPL``.
    :ivar namespace: the namespace of ``EXPORT_SYMBOL_NS``, or "".
    """

    name: str
    crc: int
    module: str
    kind: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Symvers:
    """The exports of a kernel and its modules, by name."""

    exports: Mapping[str, Export]

    def __contains__(self, name: object) -> bool:
        return name in self.exports

    def __getitem__(self, name: str) -> Export:
        return self.exports[name]

    def get(self, name: str) -> Export | None:
        """Return an export, or None."""
        return self.exports.get(name)


def read(path: Path) -> Symvers:
    """Read a ``Module.symvers``.

    :raises Refusal: ``file-unreadable``, ``symvers-malformed``
    """
    return parse(files.read_bytes(path), str(path))


def parse(data: bytes, where: str) -> Symvers:
    """Parse a ``Module.symvers``.

    :raises Refusal: ``symvers-malformed``
    """
    exports: dict[str, Export] = {}
    lines = data.decode("utf-8", "replace").split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        export = _export(line)
        if export is None:
            raise Refusal(SYMVERS_MALFORMED, f"{where}:{number}", f"{line[:60]!r} is not an export")
        exports[export.name] = export
    if lines[-1] != "":
        raise Refusal(SYMVERS_MALFORMED, where, "its last line is truncated")
    if not exports:
        raise Refusal(SYMVERS_MALFORMED, where, "it is empty")
    return Symvers(exports)


def _export(line: str) -> Export | None:
    fields = line.split("\t")
    # The fifth field, the namespace, came with Linux 5.4; most symbols have none.
    if len(fields) not in (4, 5) or not all(fields[:4]) or not fields[3].startswith("EXPORT_"):
        return None
    try:
        crc = int(fields[0], 16)
    except ValueError:
        return None
    return Export(
        fields[1], crc, _objname(fields[2]), fields[3], fields[4] if len(fields) == 5 else ""
    )


_objname = lru_cache(maxsize=None)(module_name)
