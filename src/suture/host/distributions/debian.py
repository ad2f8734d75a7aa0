# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian and its derivatives: Ubuntu has the same names for these packages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from suture.host.packages import TOOLS, Purpose, Tool, compiler

PACKAGES = {
    "<gelf.h>": "libelf-dev",
    "<openssl/ssl.h>": "libssl-dev",
    "<stdio.h>": "libc6-dev",
    "apt-get": "apt",
    "bc": "bc",
    "bison": "bison",
    "busybox": "busybox-static",  # the package busybox has one that needs libraries
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "flex": "flex",
    "gcc": "gcc",
    "ld": "binutils",
    "lzop": "lzop",
    "make": "make",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "newuidmap": "uidmap",
    "pahole": "dwarves",
    "patch": "patch",
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
    "xz": "xz-utils",
}
"""`Tool.looked_for` -> package."""

COMPILER = re.compile(r"(?:[a-z0-9_]+-linux-gnu-)?(?P<package>gcc-\d+)")
"""Debian 13's kernels name their compiler with its triplet: ``x86_64-linux-gnu-gcc-14``."""

DEVELOPING = (
    *(
        "bzip2",
        "git",
        "libengine-pkcs11-openssl",
        "lz4",
        "openssl",
        "procps",
        "python3-dev",
        "python3-venv",
    ),
    *("softhsm2", "zstd"),
)
"""Additional packages for ``make`` and the tests: a virtual environment, Python's headers (pip
compiles minilzo from source), a token in software, and programs that make the tests' inputs or run
in their guests."""


class DebianHost:
    """The `suture.host.distributions.Distribution` for Debian."""

    id = "debian"
    name = "Debian 12"
    compiler = "gcc-12"
    tools = (
        Tool(Purpose.BUILDING, "unpacking the kernel's packages", program="dpkg-deb"),
        Tool(Purpose.BUILDING, "fetching the kernel's packages", program="apt-get"),
        Tool(Purpose.TESTING, "the lab's guest with systemd", program="mmdebstrap"),
    )

    def package(self, tool: Tool) -> str:
        """Return the package with a program or header; "" if unknown."""
        versioned = COMPILER.fullmatch(tool.program)
        return versioned["package"] if versioned else PACKAGES.get(tool.looked_for, "")

    def install_line(self, packages: Iterable[str]) -> str:
        """Return the command without recommended packages, which would install all of QEMU's
        displays."""
        return f"apt-get install --no-install-recommends {' '.join(packages)}"

    def development_packages(self) -> tuple[str, ...]:
        """Return all packages that ``make`` installs, sorted."""
        tools = (compiler(self.compiler), *TOOLS, *self.tools)
        return tuple(sorted({*DEVELOPING, *(self.package(tool) for tool in tools)}))
