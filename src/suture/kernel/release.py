# SPDX-License-Identifier: GPL-2.0-or-later
"""A target: one kernel release and where its parts are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
