# SPDX-License-Identifier: GPL-2.0-or-later
"""Compilers of kernels: the host's own, and those unpacked beside it, ``toolchains/NAME-DIGEST/``
in the cache.

An unpacked compiler has its own assembler, linker, libraries and loader; nothing of it is
installed, and nothing of the host is in the code that it makes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from suture.host import files
from suture.host.paths import cache, caches

MANIFEST = "toolchain.json"

VARIABLES = {
    "LD": "ld",
    "AR": "ar",
    "NM": "nm",
    "OBJCOPY": "objcopy",
    "OBJDUMP": "objdump",
    "READELF": "readelf",
    "STRIP": "strip",
}
"""kbuild's variable -> program of the binutils (``Makefile``: ``CROSS_COMPILE``).  GCC runs the
assembler itself.  ``HOSTCC`` stays the host's: kbuild's own tools run here."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """A compiler, and what compiles and links with it.

    :ivar command: its command: ``gcc-12`` on the PATH, or an absolute path.
    :ivar version: the first line of its ``--version``.
    :ivar wanted: the line of the compiler that built the target.
    :ivar origin: where it is from, for messages.
    :ivar identity: differs between compilers that may make different code.
    :ivar programs: the directory of its binutils; "" for those on the PATH.
    """

    command: str
    version: str
    wanted: str
    origin: str
    identity: str
    programs: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether it is the very compiler that built the target."""
        return self.version == self.wanted

    @property
    def binutils(self) -> str:
        """Where its binutils are, for messages."""
        return self.programs or "this host's"

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables for kbuild: ``CC=gcc-12``."""
        if not self.programs:
            return (f"CC={self.command}",)
        others = (f"{name}={self.program(tool)}" for name, tool in VARIABLES.items())
        return (f"CC={self.command}", *others)

    def program(self, name: str) -> str:
        """Return the command of one of its binutils, such as ``objcopy``."""
        return f"{self.programs}/{name}" if self.programs else name


@dataclass(frozen=True, slots=True)
class UnpackedCompiler:
    """A compiler in a directory of the cache.

    :ivar version: its version's line without the name by which it was called: ``(Debian 14.2.0-19)
        14.2.0``.
    :ivar programs: the path, below the directory, of its programs and its binutils.
    :ivar name: the name of its program; it may have more names.
    :ivar origin: where its packages are from: ``Debian trixie``.
    :ivar packages: name -> version.
    """

    directory: Path
    version: str
    name: str
    programs: str
    origin: str
    packages: Mapping[str, str]

    def compiler(self, wanted: str) -> Compiler:
        """Return it as the compiler for a target, by the name that the target's configuration has:
        ``gcc-14`` and ``x86_64-linux-gnu-gcc-14`` are one program."""
        name, _ = split(wanted)
        if not (self.directory / self.programs / name).exists():
            name = self.name
        version = f"{name} {self.version}"
        return Compiler(
            str(self.directory / self.programs / name),
            version,
            wanted,
            f"unpacked from {self.origin}",
            f"{version}\n{self.directory.name}",
            str(self.directory / self.programs),
        )

    def save(self, directory: Path) -> None:
        """Write the manifest, which makes the directory complete."""
        document = {name: value for name, value in asdict(self).items() if name != "directory"}
        text = json.dumps(document, indent=2) + "\n"
        files.write_atomic(directory / MANIFEST, text.encode())


def toolchains() -> Path:
    """Return the directory of all unpacked compilers, by its real path: kbuild writes it into
    commands."""
    return cache().resolve() / "toolchains"


def unpacked(wanted: str) -> UnpackedCompiler | None:
    """Return the compiler of this version that was unpacked before, or None."""
    _, version = split(wanted)
    places = [one.resolve() / "toolchains" for one in caches()]
    paths = [path for place in places for path in sorted(place.glob(f"*/{MANIFEST}"))]
    found = map(load, (path.parent for path in paths))
    return next((one for one in found if one is not None and one.version == version), None)


def split(text: str) -> tuple[str, str]:
    """Return the two parts of a version's line: the name by which a compiler was called, and the
    rest."""
    name, _, version = text.partition(" ")
    return name, version


def load(directory: Path) -> UnpackedCompiler | None:
    """Return the compiler in a directory, or None if it is not complete."""
    try:
        document = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        one = UnpackedCompiler(
            directory,
            document["version"],
            document["name"],
            document["programs"],
            document["origin"],
            document["packages"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return one if (directory / one.programs / one.name).is_file() else None
