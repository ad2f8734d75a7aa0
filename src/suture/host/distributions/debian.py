# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian and its derivatives: Ubuntu has the same names for these packages."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from pathlib import Path

from suture.host.packages import TOOLS, Purpose, Tool

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

VERSION_IN_BANNER = re.compile(r" Debian (\S+) \(")

RUNNING = ("python3-dev", "python3-venv")
"""Additional packages for ``make``: a virtual environment, and Python's headers, because pip
compiles minilzo from source."""

GCC = Path("/usr/bin/gcc")
"""Of the package gcc, which depends on the suite's compiler: a link to ``gcc-14`` in Debian 13."""

DEVELOPING = (
    *(
        "bzip2",
        "curl",
        "dpkg-dev",
        "etcd-client",
        "etcd-server",
        "git",
        "iproute2",
        "libengine-pkcs11-openssl",
        "lz4",
        "nginx-light",
        "openssl",
        "procps",
        "prometheus",
        "prometheus-alertmanager",
        "softhsm2",
        "zstd",
    ),
)
"""Additional packages for the tests: a token in software, a web server, and programs that make the
tests' inputs or run in their guests."""


class DebianHost:
    """The `suture.host.distributions.Distribution` for Debian."""

    id = "debian"
    tools = (
        Tool(Purpose.BUILDING, "unpacking the kernel's packages", program="dpkg-deb"),
        Tool(Purpose.BUILDING, "fetching the kernel's packages", program="apt-get"),
        Tool(Purpose.TESTING, "the lab's guest with systemd", program="mmdebstrap"),
    )

    @property
    def name(self) -> str:
        """Return the name of this host's release, such as ``Debian 13``; unstable has no
        number."""
        described = platform.freedesktop_os_release()
        words = (described.get("NAME", "Debian").split()[0], described.get("VERSION_ID", ""))
        return " ".join(filter(None, words))

    @property
    def compiler(self) -> str:
        """Return the compiler to which the command ``gcc`` leads: each suite's kernels are built
        with its default compiler, ``gcc-12`` in Debian 12 and ``gcc-14`` in Debian 13."""
        return GCC.readlink().name if GCC.is_symlink() else GCC.name

    def package(self, tool: Tool) -> str:
        """Return the package with a program or header; "" if unknown."""
        versioned = COMPILER.fullmatch(tool.program)
        return versioned["package"] if versioned else PACKAGES.get(tool.looked_for, "")

    def install_line(self, packages: Iterable[str]) -> str:
        """Return the command without recommended packages, which would install all of QEMU's
        displays."""
        return f"apt-get install --no-install-recommends {' '.join(packages)}"

    def kernel_url(self, release: str, banner: str) -> str:
        """Return the package URL (purl) of a kernel's image, with the version that its banner
        ends with: ``#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-03-02)``."""
        described = platform.freedesktop_os_release()
        system, number = described.get("ID", self.id), described.get("VERSION_ID", "")
        version = VERSION_IN_BANNER.search(banner)
        at = f"@{version[1]}" if version else ""
        suite = f"&distro={system}-{number}" if number else ""
        return (
            f"pkg:deb/{system}/linux-image-{release}{at}?arch={release.rpartition('-')[2]}{suite}"
        )

    def needed_packages(self) -> tuple[str, ...]:
        """Return the packages that building, testing and ``make demo`` need, sorted."""
        return tuple(sorted({*RUNNING, *(self.package(tool) for tool in (*TOOLS, *self.tools))}))

    def development_packages(self) -> tuple[str, ...]:
        """Return all packages that ``make`` installs, sorted."""
        return tuple(sorted({*DEVELOPING, *self.needed_packages()}))
