# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian packages that Suture uses, each with what shows that it is there: the one list of
them.

``make`` installs them (``scripts/packages.py``, before there is a virtual environment, so this
module and `suture.arch` need nothing but Python), ``suture doctor`` looks for them, and README prints them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from suture import arch


class Purpose(StrEnum):
    """What a host may want to do with Suture."""

    BUILDING = "building"
    TESTING = "testing"
    LOADING = "loading"


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package and the one thing of it that Suture needs.

    :ivar program: a program on the PATH, or "".
    :ivar header: a C header, named as in ``#include``, or "".
    :ivar why: who uses it.
    """

    name: str
    purpose: Purpose
    why: str
    program: str = ""
    header: str = ""

    @property
    def looked_for(self) -> str:
        return self.program or f"<{self.header}>"

    def found(self) -> Path | None:
        """Where its program or header is on this host; also true on a distribution with other
        package names."""
        if self.program:
            where = shutil.which(self.program, path=SEARCH_PATH)
            return Path(where) if where else None
        return next((path for path in _header_paths(self.header) if path.exists()), None)


SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""A user's PATH on Debian leaves the sbin directories out."""

COMPILER = "gcc-12"
"""What Debian 12 builds its kernels with; for another target, `suture.doctor` reads the compiler
from the target."""


def for_compiler(command: str) -> Package:
    """The package of a compiler that a kernel's ``CONFIG_CC_VERSION_TEXT`` names, such as
    ``gcc-12``."""
    return Package(command, Purpose.BUILDING, "the compiler that built the target", program=command)


PACKAGES: tuple[Package, ...] = (
    for_compiler(COMPILER),
    Package("make", Purpose.BUILDING, "kbuild", program="make"),
    Package("binutils", Purpose.BUILDING, "kbuild", program="ld"),
    Package("libc6-dev", Purpose.BUILDING, "kbuild's own tools", header="stdio.h"),
    Package("gcc", Purpose.BUILDING, "kbuild's own tools", program="gcc"),
    Package("flex", Purpose.BUILDING, "kbuild: the configuration's grammar", program="flex"),
    Package("bison", Purpose.BUILDING, "kbuild: the configuration's grammar", program="bison"),
    Package("bc", Purpose.BUILDING, "kbuild: timeconst.h", program="bc"),
    Package("libelf-dev", Purpose.BUILDING, "kbuild: objtool", header="gelf.h"),
    Package("libssl-dev", Purpose.BUILDING, "kbuild: sign-file", header="openssl/ssl.h"),
    Package(
        "dwarves", Purpose.BUILDING, "kbuild: BTF, and the layout of structures", program="pahole"
    ),
    Package("kmod", Purpose.BUILDING, "kbuild: the dependencies of modules", program="depmod"),
    Package("patch", Purpose.BUILDING, "applying a patch to the source", program="patch"),
    Package("dpkg", Purpose.BUILDING, "unpacking the kernel's packages", program="dpkg-deb"),
    Package("apt", Purpose.BUILDING, "fetching the kernel's packages", program="apt-get"),
    Package("xz-utils", Purpose.BUILDING, "unpacking the source", program="xz"),
    Package("lzop", Purpose.BUILDING, "unpacking images", program="lzop"),
    *(
        Package(one.package, Purpose.TESTING, "the lab's virtual machine", program=one.program)
        for one in (architecture.virtual_machine for architecture in arch.known())
        if one is not None
    ),
    Package("busybox-static", Purpose.TESTING, "the lab's guest", program="busybox"),
    Package("mmdebstrap", Purpose.TESTING, "the lab's guest with systemd", program="mmdebstrap"),
    Package("e2fsprogs", Purpose.TESTING, "the disks of that guest", program="mke2fs"),
    Package("uidmap", Purpose.TESTING, "making these as a user", program="newuidmap"),
    Package("util-linux", Purpose.TESTING, "ending the virtual machine with us", program="setpriv"),
)

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
"""What ``make`` and the tests use besides: a virtual environment, Python's headers (minilzo comes
as source, and pip compiles it), a token in software, and programs that make the tests' inputs or
run in their guests."""

BUILD_MODULES = frozenset(
    {"debian", "iced_x86", "lz4", "msgspec", "tomli_w", "unidiff", "vmlinux_to_elf", "zstandard"}
)
"""What the extra ``build`` of ``pyproject.toml`` brings, by the names under which Python imports
it."""


def names() -> tuple[str, ...]:
    """All packages that ``make`` installs, sorted."""
    return tuple(sorted({*DEVELOPING, *(package.name for package in PACKAGES)}))


def install_line(packages: tuple[str, ...]) -> str:
    """The command that installs them.  Recommended packages would bring a desktop's worth of QEMU's
    displays."""
    return f"apt-get install --no-install-recommends {' '.join(packages)}"


def _header_paths(header: str) -> Iterator[Path]:
    yield Path("/usr/include", header)
    yield from Path("/usr/include").glob(f"*-linux-gnu/{header}")
