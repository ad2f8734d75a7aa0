# SPDX-License-Identifier: GPL-2.0-or-later
"""The types of a module that was built with debug information and without BTF.

kbuild leaves BTF out of a module where the kernel's image is not at hand, as with a distribution's
headers.  pahole makes it from the debug information, as kbuild would (scripts/Makefile.modfinal).
"""

from __future__ import annotations

from suture.elf.object import ObjectFile
from suture.errors import Refusal
from suture.host.files import read_bytes, temporary_directory
from suture.host.run import run
from suture.kernel.btf import Btf

DEBUG = ".debug_info"


def types_of_debug(module: ObjectFile, data: bytes) -> Btf | None:
    """Return the types of a module; None without debug information, or where pahole is missing or
    fails.

    :param data: the module's bytes.
    """
    if module.section_named(DEBUG) is None:
        return None
    with temporary_directory() as directory:
        path, types = directory / "module.ko", directory / "types.btf"
        path.write_bytes(data)
        try:
            made = run(["pahole", "-J", f"--btf_encode_detached={types}", str(path)])
            return Btf(read_bytes(types), module.name) if made.status == 0 else None
        except Refusal:
            return None
