# SPDX-License-Identifier: GPL-2.0-or-later
"""The target's files, read on first use and kept for the rest of a build."""

from __future__ import annotations

from functools import cached_property

from suture.elf import reader
from suture.elf.object import ObjectFile
from suture.errors import FUNCTION_NOT_IN_KERNEL, Refusal
from suture.kernel import image, modules, symbol_index, symvers
from suture.kernel.btf import Btf
from suture.kernel.release import Target
from suture.kernel.types import struct_sizes
from suture.model import VMLINUX
from suture.objects.special import structs
from suture.verify.callsites import Sites, scan
from suture.verify.kfuncs import kfuncs
from suture.verify.shipped import Shipped, ShippedImage, lay_out
from suture.verify.thread_index import ObjectThreads, read_module_threads, read_threads
from suture.verify.thread_mains import Threads


class Kernel:
    """A target: its image, symbols, types, modules, and searches in them."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._modules: dict[str, Shipped] = {}
        self._types: dict[str, Btf | None] = {}
        self._needed: dict[str, frozenset[str]] = {}
        self._sites: dict[tuple[str, int], Sites] = {}
        self._kfuncs: dict[str, frozenset[str]] = {}
        self._threads: dict[str, ObjectThreads] = {}
        self._importers: dict[str, tuple[str, ...]] = {}

    def read(self) -> None:
        """Read the parts that every build needs."""
        _ = self.vmlinux, self.symvers, self._kernel_threads

    @cached_property
    def vmlinux(self) -> ShippedImage:
        """The core kernel's image and symbols."""
        return ShippedImage(
            image.read(self.target.vmlinux), symbol_index.read(self.target.kallsyms)
        )

    @cached_property
    def symvers(self) -> symvers.Symvers:
        """The exported symbols."""
        return symvers.read(self.target.symvers)

    @cached_property
    def entry_sizes(self) -> dict[str, int]:
        """Special section -> size of an entry in bytes, as the kernel's BTF has it."""
        btf = self.vmlinux.image.section(".BTF")
        known = structs(self.vmlinux.arch)
        sizes = struct_sizes(btf, set(known.values()), self.target.release) if btf else {}
        return {section: sizes[name] for section, name in known.items() if name in sizes}

    def shipped(self, objname: str) -> Shipped:
        """Return the core kernel or a module, as shipped.

        :raises Refusal: ``function-not-in-kernel``
        """
        return self.vmlinux if objname == VMLINUX else self.module(objname)

    def needed(self, objname: str) -> frozenset[str]:
        """Return the modules that are always loaded before a module."""
        if objname not in self._needed:
            self._needed[objname] = frozenset(modules.dependencies(self.target, objname))
        return self._needed[objname]

    def sites(self, objname: str, address: int) -> Sites:
        """Return the places in an object that lead to an address."""
        if (objname, address) not in self._sites:
            self._sites[objname, address] = scan(self.shipped(objname), address)
        return self._sites[objname, address]

    def importers(self, name: str) -> tuple[str, ...] | None:
        """Return the modules that link with an exported symbol; None if it is not exported."""
        if name not in self.symvers:
            return None
        if name not in self._importers:
            self._importers[name] = modules.importers(self.target, name)
        return self._importers[name]

    def threads(self, objname: str) -> Threads:
        """Return the threads of an object."""
        return self._object_threads(objname).threads

    def _object_threads(self, objname: str) -> ObjectThreads:
        if objname == VMLINUX:
            return self._kernel_threads
        if objname not in self._threads:
            self._threads[objname] = read_module_threads(
                self.module(objname), self.vmlinux, lambda: self.types_of(objname), self._sleeps
            )
        return self._threads[objname]

    @cached_property
    def _kernel_threads(self) -> ObjectThreads:
        return read_threads(self.vmlinux, lambda: self.types)

    def _sleeps(self, name: str) -> bool:
        """Whether an exported function sleeps itself."""
        export = self.symvers.get(name)
        if export is None or export.module not in (VMLINUX, *modules.index(self.target)):
            return False
        return name in self._object_threads(export.module).sleeping

    @cached_property
    def types(self) -> Btf | None:
        """The core kernel's types; None if its image has no BTF."""
        data = self.vmlinux.image.section(".BTF")
        return Btf(data, self.target.release) if data else None

    def types_of(self, objname: str) -> Btf | None:
        """Return the types of an object; None if it has no BTF."""
        if objname == VMLINUX:
            return self.types
        if objname not in self._types:
            obj = self._read_module(objname)
            index = obj.section_named(".BTF")
            data = obj.sections[index].data if index else b""
            self._types[objname] = Btf(data, objname, self.types) if data and self.types else None
        return self._types[objname]

    def kfuncs(self, objname: str) -> frozenset[str]:
        """Return the functions of an object that BPF programs call."""
        if objname not in self._kfuncs:
            types = self.types_of(objname)
            found = frozenset[str]() if types is None else kfuncs(self.shipped(objname), types)
            self._kfuncs[objname] = found
        return self._kfuncs[objname]

    def module(self, objname: str) -> Shipped:
        """Return a module of the kernel, laid out.

        :raises Refusal: ``function-not-in-kernel``
        """
        if objname not in self._modules:
            self._modules[objname] = lay_out(self._read_module(objname), objname)
        return self._modules[objname]

    def _read_module(self, objname: str) -> ObjectFile:
        path = modules.index(self.target).get(objname)
        if path is None:
            raise Refusal(
                FUNCTION_NOT_IN_KERNEL, objname, f"{self.target.release} has no module of that name"
            )
        return reader.read(modules.read(path), objname)
