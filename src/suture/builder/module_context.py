# SPDX-License-Identifier: GPL-2.0-or-later
"""What authors' modules may refer to: the target, and the modules that come beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from suture.elf import reader
from suture.formats.cmodule import CModule, Dialect
from suture.kernel.btf import Btf
from suture.kernel.modules import index
from suture.kernel.types import struct_sizes
from suture.link.author_checks import STRUCTS
from suture.verify.kernel import Kernel
from suture.verify.replaced import Replaceable
from suture.verify.shipped import Shipped, lay_out
from suture.workspace.external import CompiledModule


class ModuleContext:
    """What the modules of one source may refer to: the target, and each other."""

    def __init__(
        self,
        kernel: Kernel,
        tree: Path,
        modules: Sequence[CModule],
        compiled: Sequence[CompiledModule],
    ) -> None:
        self.kernel = kernel
        self.tree = tree
        self._beside = {
            module.name: one
            for module, one in zip(modules, compiled, strict=True)
            if module.dialect is Dialect.PLAIN
        }
        self._shipped: dict[str, Shipped] = {}
        self.replaceable = Replaceable(self.shipped, self.types_of)

    def shipped(self, objname: str) -> Shipped:
        if objname not in self._beside:
            return self.kernel.shipped(objname)
        if objname not in self._shipped:
            self._shipped[objname] = lay_out(
                reader.read(self._beside[objname].module, objname), objname
            )
        return self._shipped[objname]

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of the core's structures."""
        btf = self.kernel.vmlinux.image.section(".BTF")
        return struct_sizes(btf, STRUCTS, self.kernel.target.release) if btf else {}

    @cached_property
    def modules(self) -> tuple[str, ...]:
        return tuple(index(self.kernel.target))

    def has_module(self, objname: str) -> bool:
        return objname in self._beside or objname in self.modules

    def has(self, objname: str, name: str) -> bool:
        return bool(self.shipped(objname).addresses(name))

    def types_of(self, objname: str) -> Btf | None:
        if objname not in self._beside:
            return self.kernel.types_of(objname)
        return types_of_module(self._beside[objname], objname)


def types_of_module(compiled: CompiledModule, where: str) -> Btf | None:
    return Btf(compiled.btf, where) if compiled.btf else None
