# SPDX-License-Identifier: GPL-2.0-or-later
"""How this Suture came here: into a Python environment, as a Debian package, or as one file, an
archive that Python runs (zipapp).

Files by which other programs start Suture name its Python and its code.  They start it so that no
variable of the environment and no directory of a user's is looked at (``python3 -I``).
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import suture


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Python and a Suture that it runs.

    :ivar python: the absolute path of the interpreter.
    :ivar code: the file without which this Suture is gone: ``suture/__init__.py``, or the archive.
    """

    python: Path
    code: Path

    @property
    def is_archive(self) -> bool:
        """Whether it is one file."""
        return self.code.name != "__init__.py"

    @property
    def is_packaged(self) -> bool:
        """Whether the Debian package brought it."""
        return self.code == PACKAGED.code

    @property
    def is_runtime_half(self) -> bool:
        """Whether it was made without the rooms that build and test live patches."""
        return self.is_packaged or self.is_archive

    def fill(self, template: str, **others: str) -> str:
        """Return a file's text that starts Suture.

        :param template: may have ``{python}``, ``{code}``, ``{start}``, which is followed by the
            name of a module, and ``{maker}``, which is what made the file.
        :param others: what else it has.
        """
        python, code = shlex.quote(str(self.python)), shlex.quote(str(self.code))
        return template.format(
            python=python,
            code=code,
            start=" ".join([python, "-I", *([code] if self.is_archive else []), "-m"]),
            maker="Part of the package suture" if self.is_packaged else MADE,
            **others,
        )


MADE = "Made by 'suture install'"
"""What the files say that did not come with the package, by which the package knows them."""

PACKAGED = Deployment(
    Path("/usr/bin/python3"), Path("/usr/lib/python3/dist-packages/suture/__init__.py")
)
"""The Debian package.  Both paths stay the same when Python's minor version changes."""


def this() -> Deployment:
    """Return the installation that runs now."""
    code = Path(suture.__file__)
    if code == PACKAGED.code:
        return PACKAGED
    archive = code.parents[1]
    # Without PATH, Python may not know where it is: env -i python3 suture.pyz.
    python = Path(sys.executable or os.readlink("/proc/self/exe"))
    return Deployment(python, archive if archive.is_file() else code)


def build_remedy() -> str | None:
    """Return how to add the side that builds to the package or the archive; None where Python
    packages are added to an environment."""
    if not this().is_runtime_half:
        return None
    return f"Install the package suture-build, version {suture.__version__}."
