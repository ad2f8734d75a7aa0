# SPDX-License-Identifier: GPL-2.0-or-later
"""The objects that authors' modules may refer to: the target's, and other modules of the same
source."""

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
    """Looks up objects of the target and of the modules that are built together."""

    def __init__(
        self,
        kernel: Kernel,
        tree: Path,
        modules: Sequence[CModule],
        compiled: Sequence[CompiledModule],
    ) -> None:
        self.kernel = kernel
        self.tree = tree
        self._companions = {
            module.name: built
            for module, built in zip(modules, compiled, strict=True)
            if module.dialect is Dialect.PLAIN
        }
        self._shipped: dict[str, Shipped] = {}
        self.replaceable = Replaceable(self.shipped, self.types_of)

    def is_of_target(self, objname: str) -> bool:
        """Whether an object is the target's, and not a module that is built here."""
        return objname not in self._companions

    def shipped(self, objname: str) -> Shipped:
        """Return an object by name: a module built here, else one of the target."""
        if objname not in self._companions:
            return self.kernel.shipped(objname)
        if objname not in self._shipped:
            self._shipped[objname] = lay_out(
                reader.read(self._companions[objname].module, objname), objname
            )
        return self._shipped[objname]

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The sizes of the core's structures in bytes, by name."""
        btf = self.kernel.vmlinux.image.section(".BTF")
        return struct_sizes(btf, STRUCTS, self.kernel.target.release) if btf else {}

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """The names of the target's modules."""
        return tuple(index(self.kernel.target))

    def has_module(self, objname: str) -> bool:
        """Whether a module is built here or belongs to the target."""
        return objname in self._companions or objname in self.modules

    def has(self, objname: str, name: str) -> bool:
        """Whether an object has a symbol of that name."""
        return bool(self.shipped(objname).addresses(name))

    def types_of(self, objname: str) -> Btf | None:
        """Return the types of an object; None where it has no BTF."""
        if objname not in self._companions:
            return self.kernel.types_of(objname)
        return types_of_module(self._companions[objname], objname)


def types_of_module(compiled: CompiledModule, where: str) -> Btf | None:
    """Return the types of a module built here; None where it has no BTF."""
    return Btf(compiled.btf, where) if compiled.btf else None
