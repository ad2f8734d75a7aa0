# SPDX-License-Identifier: GPL-2.0-or-later
"""A target: one kernel release, the places of its parts, and its compiler."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from suture import arch
from suture.arch import Architecture
from suture.errors import FILE_UNREADABLE, IMAGE_MALFORMED, Refusal

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")


def names_kernel(function: Callable[_Parameters, _Returned]) -> Callable[_Parameters, _Returned]:
    """Let the refusals of a function say which kernel they are about: the release of its argument
    ``target``.

    "fs/proc/version.c: hunk 1 does not apply" is said of one kernel of the six that an author
    builds for.
    """

    @wraps(function)
    def named(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Returned:
        """Call the function."""
        try:
            return function(*args, **kwargs)
        except Refusal as refusal:
            target = inspect.signature(function).bind(*args, **kwargs).arguments["target"]
            refusal.kernel = refusal.kernel or target.release
            raise

    return named


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The compiler that built a kernel, and the packages that contain exactly that one.

    :ivar compiler: the first line of its ``--version``, as ``CONFIG_CC_VERSION_TEXT`` has it
        (``gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0``); its command alone (``gcc-12``) if no more is
        known; or "".
    :ivar packages: in the form of the package tool of the kernel's source
        (``gcc-12=12.2.0-14+deb12u1``, ``gcc-11.5.0-5.el9``); empty if unknown.
    """

    compiler: str = ""
    packages: tuple[str, ...] = ()


UNKNOWN = Toolchain()


@dataclass(frozen=True, slots=True)
class Target:
    """One kernel release, unpacked and complete on this host.  Nothing writes to it.

    :ivar release: the output of ``uname -r`` on it, such as ``6.1.0-50-amd64``.
    :ivar version: the packages' version (``6.1.176-1``), or "" for a tree that the user built.
    :ivar vmlinuz: the image that is shipped and booted.
    :ivar vmlinux: the ELF file from that image (no symbol table; segments at link addresses).
    :ivar kallsyms: its symbols in the form and order of ``/proc/kallsyms``.
    :ivar config: its ``.config``.
    :ivar symvers: its ``Module.symvers``.
    :ivar modules: its ``/lib/modules/<release>``.
    :ivar source: its source: a ``.tar.*`` to unpack, or the directory of a tree that the user
        built.
    :ivar patches: unified diffs to apply to the source, in order, before it is the kernel's.
    :ivar debug: its ``vmlinux`` with symbols and debug information, if its source has one.
    :ivar toolchain: its compiler.
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
        """The architecture that it is built for.

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
