# SPDX-License-Identifier: GPL-2.0-or-later
"""A target: one kernel release, where its parts are, and what compiled it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from suture import arch
from suture.arch import Architecture
from suture.errors import FILE_UNREADABLE, IMAGE_MALFORMED, Refusal


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The compiler that built a kernel, and where that very one is known to come from.

    :ivar compiler: the first line that it prints of itself, as ``CONFIG_CC_VERSION_TEXT`` has it
        (``gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0``); its command alone (``gcc-12``) where no more
        is known; or "".
    :ivar packages: what brings it, as the package tool of the kernel's source takes it
        (``gcc-12=12.2.0-14+deb12u1``, ``gcc-11.5.0-5.el9``); empty where that is not known.
    """

    compiler: str = ""
    packages: tuple[str, ...] = ()


UNKNOWN = Toolchain()


@dataclass(frozen=True, slots=True)
class Target:
    """One kernel release, unpacked and complete on this host.  Nothing here is ever written to.

    :ivar release: what ``uname -r`` says on it, such as ``6.1.0-50-amd64``.
    :ivar version: the packages' version (``6.1.176-1``), or "" for a tree that the user built.
    :ivar vmlinuz: the image as it is shipped and booted.
    :ivar vmlinux: the ELF file that was compressed in it (no symbol table; segments at their link
        addresses).
    :ivar kallsyms: its symbols in the form and order of ``/proc/kallsyms``.
    :ivar config: its ``.config``.
    :ivar symvers: its ``Module.symvers``.
    :ivar modules: its ``/lib/modules/<release>``.
    :ivar source: its source: a ``.tar.*`` to unpack, or the directory of a tree that the user
        built.
    :ivar patches: unified diffs that make the source the one that it was built from, in the order
        in which they are applied.
    :ivar debug: its ``vmlinux`` with symbols and debug information, where its source brought one.
    :ivar toolchain: what compiled it.
    """

    release: str
    version: str
    vmlinuz: Path
    vmlinux: Path
    kallsyms: Path
    config: Path
    symvers: Path
    modules: Path
    source: Path
    patches: tuple[Path, ...] = ()
    debug: Path | None = None
    toolchain: Toolchain = UNKNOWN

    @property
    def arch(self) -> Architecture:
        """What it is built for.

        :raises Refusal: ``image-malformed``, ``file-unreadable``
        """
        return _arch_of(self.vmlinux)


@lru_cache(maxsize=64)
def _arch_of(vmlinux: Path) -> Architecture:
    try:
        with vmlinux.open("rb") as file:
            found = arch.of_elf(file.read(arch.IDENTIFIED))
    except OSError as error:
        raise Refusal(FILE_UNREADABLE, str(vmlinux), error.strerror or str(error)) from error
    if found is None:
        raise Refusal(
            IMAGE_MALFORMED, str(vmlinux), "it is for a machine that Suture does not know"
        )
    return found
