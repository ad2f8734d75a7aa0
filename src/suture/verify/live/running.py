# SPDX-License-Identifier: GPL-2.0-or-later
"""This host's kernel, opened for a comparison with a target."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from suture.core import running
from suture.core.running import ROOT, content, text
from suture.elf import reader
from suture.elf.object import ObjectFile
from suture.kernel import modules
from suture.model import VMLINUX
from suture.module import notes
from suture.verify.kernel import Kernel
from suture.verify.live.compare import LiveComparison
from suture.verify.live.core_text import CoreText
from suture.verify.live.kcore import Kcore
from suture.verify.live.module_text import ModuleText, section_bases
from suture.verify.live.tables import common_tables

KCORE = "proc/kcore"
KPROBES = "sys/kernel/debug/kprobes/list"

_MADE = re.compile(rb"^(\w+) \w \S+\t\[(?:__builtin__ftrace|bpf)\]$", re.MULTILINE)
"""Code that the kernel makes for tracers and BPF programs (``kernel/trace/ftrace.c:
FTRACE_TRAMPOLINE_MOD``, ``kernel/bpf/trampoline.c``), in ``/proc/kallsyms``."""

_SYMBOL = re.compile(rb"^(\w+) \w (\S+)\t\[(\w+)\]$", re.MULTILINE)

_PROBE = re.compile(r"^(?:0x)?([0-9a-f]+)\s+\w\s+(\S+)(.*)$", re.MULTILINE)
"""``kernel/kprobes.c: report_probe()``: ``ffffffffbb9669e0  k  vfs_read+0x0    [FTRACE]``"""


class CannotCompare(Exception):
    """There is no memory to compare with; the text says why."""


class RunningKernel:
    """This host's kernel, which is the target's.

    :raises CannotCompare: it is another one, or its memory cannot be read
    """

    def __init__(self, kernel: Kernel, root: Path = ROOT) -> None:
        self._kernel = kernel
        self._root = root
        _same_kernel(kernel, root)
        self._kcore = _opened(root)
        try:
            self.core = self._core_text()
        except BaseException:
            self.close()
            raise
        self._comparisons: dict[str, LiveComparison] = {}
        self._modules: dict[str, ModuleText] = {}

    def close(self) -> None:
        """Close its memory."""
        self._kcore.close()

    def comparison(self, objname: str) -> LiveComparison:
        """Return the comparison of an object's functions.

        :raises CannotCompare: the module is not loaded, or is another one
        """
        if objname not in self._comparisons:
            text = self.core if objname == VMLINUX else self.module(objname)
            arch = self._kernel.vmlinux.arch
            tables = [*arch.live_code.tables(text), *common_tables(text, arch, self._may_call)]
            self._comparisons[objname] = LiveComparison(text, arch, tables, self._writing_probes)
        return self._comparisons[objname]

    def module(self, objname: str) -> ModuleText:
        """Return a loaded module.

        :raises CannotCompare: it is not loaded, or is another one
        """
        if objname not in self._modules:
            bases = section_bases(self._root, objname)
            if not bases:
                raise CannotCompare(f"{objname} is not loaded")
            if not any(bases.values()):
                raise CannotCompare("the kernel hides addresses (kernel.kptr_restrict)")
            module = self._file(objname)
            loaded = self._root / "sys/module" / objname / "notes" / notes.BUILD_ID_SECTION
            found = notes.build_id(content(loaded))
            if found and found != notes.build_id_of(module):
                raise CannotCompare(
                    f"the loaded {objname} is not the one of this kernel's packages"
                )
            self._modules[objname] = ModuleText(
                module, objname, self.core, bases, self._module_symbol
            )
        return self._modules[objname]

    def place(self, objname: str, address: int) -> int:
        """Return the running address of a place in an object as shipped.

        :raises CannotCompare: it is not in memory
        """
        if objname == VMLINUX:
            return address + self.core.move
        for region in self._kernel.shipped(objname).regions():
            if region.address <= address < region.address + len(region.data):
                place = self.module(objname).place(region.name, address - region.address)
                if place is not None:
                    return place
        raise CannotCompare("its section is not in memory")

    def probe_names(self, address: int, size: int) -> list[str]:
        """Return the probes in a range, as the kernel lists them."""
        return [name for at, (name, _) in self._probes.items() if address <= at < address + size]

    @cached_property
    def lists_probes(self) -> bool:
        """Whether the kernel's list of probes can be read."""
        try:
            (self._root / KPROBES).open("rb").close()
        except OSError:
            return False
        return True

    def name_of(self, address: int) -> str:
        """Return what is at an address: a function of the core kernel, or code made for tracers or
        BPF programs."""
        found = self.core.names(address)
        if found:
            return found[0]
        line = re.search(rb"^0*%x \w (\S+)" % address, self._listing, re.MULTILINE)
        return line[1].decode() if line else f"{address:#x}"

    def _core_text(self) -> CoreText:
        vmlinux = self._kernel.vmlinux
        offset = self._kcore.vmcoreinfo.get("KERNELOFFSET")
        if offset is None:
            raise CannotCompare("/proc/kcore does not say how far the kernel moved at boot")
        move = int(offset, 16)
        try:
            relocations = vmlinux.arch.live_code.relocations(vmlinux.image.behind())
        except NotImplementedError as error:
            raise CannotCompare(str(error)) from error
        if move and relocations is None:
            raise CannotCompare(
                "the kernel moved itself at boot, and its image has no list of what changes then"
            )
        core = CoreText(
            vmlinux, self._kcore, move, relocations if move else None, self._kernel.types
        )
        start = core.symbol("_stext")
        if start is None or not core.live(start, 16):
            raise CannotCompare("/proc/kcore shows nothing of the kernel's code")
        return core

    def _file(self, objname: str) -> ObjectFile:
        path = modules.index(self._kernel.target).get(objname)
        if path is None:
            raise CannotCompare(f"{objname} is not part of this kernel")
        return reader.read(modules.read(path), objname)

    @cached_property
    def _listing(self) -> bytes:
        return content(self._root / "proc/kallsyms")

    @cached_property
    def _made_code(self) -> frozenset[int]:
        return frozenset(int(found[1], 16) for found in _MADE.finditer(self._listing))

    def _may_call(self, address: int) -> bool:
        """Whether a traced function may call an address: the kernel's own entry for tracers, or
        code that it made."""
        names = self.core.names(address)
        tracers = self._kernel.vmlinux.arch.live_code.tracers
        return address in self._made_code or not tracers.isdisjoint(names)

    @cached_property
    def _module_symbols(self) -> Mapping[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for match in _SYMBOL.finditer(self._listing):
            address, name, module = match.groups()
            found.setdefault((name.decode(), module.decode()), int(address, 16))
        return found

    def _module_symbol(self, name: str, objname: str) -> int | None:
        export = None if objname else self._kernel.symvers.get(name)
        objname = export.module if export is not None else objname
        return self._module_symbols.get((name, objname))

    @cached_property
    def _probes(self) -> Mapping[int, tuple[str, str]]:
        """Address -> name and state of each probe."""
        listed = _PROBE.findall(text(self._root / KPROBES))
        return {int(address, 16): (name, state) for address, name, state in listed}

    @cached_property
    def _writing_probes(self) -> frozenset[int]:
        """The probes that change code; others are called by the tracer."""
        return frozenset(at for at, (_, state) in self._probes.items() if "[FTRACE]" not in state)


def _same_kernel(kernel: Kernel, root: Path) -> None:
    release = running.release(root)
    if release != kernel.target.release:
        raise CannotCompare(f"this host runs {release or 'no kernel that shows its release'}")
    vmlinux = kernel.vmlinux
    live = notes.build_id(content(root / "sys/kernel/notes"), vmlinux.machine.prefix)
    shipped = notes.build_id(vmlinux.image.section(".notes") or b"", vmlinux.machine.prefix)
    if live and shipped and live != shipped:
        raise CannotCompare(
            f"this host runs another build of {release} (build ID {live}, not {shipped})"
        )


def _opened(root: Path) -> Kcore:
    """Open the memory.

    :raises CannotCompare: with the reason (``fs/proc/kcore.c: open_kcore()``)
    """
    try:
        return Kcore(root / KCORE)
    except FileNotFoundError:
        reason = "this kernel has no /proc/kcore (CONFIG_PROC_KCORE)"
    except OSError as error:
        reason = f"/proc/kcore cannot be read ({error.strerror})"
        with suppress(OSError):
            if error.errno in (errno.EACCES, errno.EPERM):
                reason = "only root can read /proc/kcore"
                if running.lockdown(root) == "confidentiality":
                    reason = "the kernel is locked down (lockdown=confidentiality)"
    except ValueError as error:
        reason = f"/proc/kcore is damaged: {error}"
    raise CannotCompare(reason)
