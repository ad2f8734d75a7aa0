# SPDX-License-Identifier: GPL-2.0-or-later
"""The one list of the programs and headers that Suture uses.

`suture.host.distributions` knows the package of each.

``make`` reads this before there is a virtual environment, so this module and `suture.arch` need
nothing but Python.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from suture import arch


class Purpose(StrEnum):
    """A use of Suture on a host."""

    BUILDING = "building"
    TESTING = "testing"
    LOADING = "loading"


SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Directories of programs; a user's PATH may lack the sbin directories."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program or header that Suture needs.

    :ivar program: a program on the PATH, or "".
    :ivar header: a C header, named as in ``#include``, or "".
    :ivar why: its use.
    """

    purpose: Purpose
    why: str
    program: str = ""
    header: str = ""

    @property
    def looked_for(self) -> str:
        """The name: ``flex`` or ``<gelf.h>``."""
        return self.program or f"<{self.header}>"

    def found(self) -> Path | None:
        """Return the path on this host, or None."""
        if self.program:
            where = shutil.which(self.program, path=SEARCH_PATH)
            return Path(where) if where else None
        return next((path for path in _header_paths(self.header) if path.exists()), None)


def compiler(command: str) -> Tool:
    """Return the compiler that a kernel's ``CONFIG_CC_VERSION_TEXT`` names, such as ``gcc-12``."""
    return Tool(Purpose.BUILDING, "the compiler that built the target", program=command)


TOOLS: tuple[Tool, ...] = (
    Tool(Purpose.BUILDING, "kbuild", program="make"),
    Tool(Purpose.BUILDING, "kbuild", program="ld"),
    Tool(Purpose.BUILDING, "kbuild's own tools", header="stdio.h"),
    Tool(Purpose.BUILDING, "kbuild's own tools", program="gcc"),
    Tool(Purpose.BUILDING, "kbuild: the configuration's grammar", program="flex"),
    Tool(Purpose.BUILDING, "kbuild: the configuration's grammar", program="bison"),
    Tool(Purpose.BUILDING, "kbuild: timeconst.h", program="bc"),
    Tool(Purpose.BUILDING, "kbuild: objtool", header="gelf.h"),
    Tool(Purpose.BUILDING, "kbuild: sign-file", header="openssl/ssl.h"),
    Tool(Purpose.BUILDING, "kbuild: BTF, and the layout of structures", program="pahole"),
    Tool(Purpose.BUILDING, "kbuild: the dependencies of modules", program="depmod"),
    Tool(Purpose.BUILDING, "applying a patch to the source", program="patch"),
    Tool(Purpose.BUILDING, "unpacking the source", program="xz"),
    Tool(Purpose.BUILDING, "unpacking images", program="lzop"),
    *(
        Tool(Purpose.TESTING, "the lab's virtual machine", program=machine.program)
        for machine in (architecture.virtual_machine for architecture in arch.known())
        if machine is not None
    ),
    Tool(Purpose.TESTING, "the lab's guest", program="busybox"),
    Tool(Purpose.TESTING, "the disks of the guest with systemd", program="mke2fs"),
    Tool(Purpose.TESTING, "making these as a user", program="newuidmap"),
    Tool(Purpose.TESTING, "ending the virtual machine with us", program="setpriv"),
)
"""Tools for every distribution, besides the target's compiler."""

BUILD_MODULES = frozenset(
    {"debian", "iced_x86", "lz4", "msgspec", "tomli_w", "unidiff", "vmlinux_to_elf", "zstandard"}
)
"""The modules of the extra ``build`` in ``pyproject.toml``, by the names that Python imports."""

FOLLOW_MODULES = frozenset({"pkcs11", "securesystemslib", "tuf", "urllib3"})
"""Those of the extra ``follow``, and what it imports for keys on tokens."""

FLEET_MODULES = frozenset({"h11"})
"""Those of the extra ``fleet``."""


def _header_paths(header: str) -> Iterator[Path]:
    yield Path("/usr/include", header)
    yield from Path("/usr/include").glob(f"*-linux-gnu/{header}")
