# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture compat install`` and ``suture compat remove``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suture.cli.commands import add, group
from suture.cli.output import Json, emit
from suture.host.terminal import printable

app = group(
    "compat",
    "Provide the commands of other live patching tools: kpatch, kpatch-build, klp and kgr.",
    ("suture compat install", "let scripts and units that call kpatch or klp find Suture"),
    ("suture compat install --prefix /usr", "install them where kpatch.service looks"),
)

Prefix = Annotated[
    Path,
    typer.Option("--prefix", metavar="DIR", readable=False, help="Use sbin and bin below DIR."),
]


def install(prefix: Prefix = Path("/usr/local"), json: Json = False) -> None:
    """Install the commands kpatch, kpatch-build, klp and kgr. Output and exit status are what
    scripts expect.

    If another command of one of these names exists, Suture leaves it alone and installs none.
    """
    from suture.compat.commands import install as make

    made = make(prefix)
    emit(
        {"commands": [str(path) for path in made]},
        printable("\n".join(f"made {path}" for path in made)),
    )


def remove(prefix: Prefix = Path("/usr/local"), json: Json = False) -> None:
    """Remove only the commands that 'suture compat install' made."""
    from suture.compat.commands import remove as drop

    gone = drop(prefix)
    told = "\n".join(f"removed {path}" for path in gone) or "There were none."
    emit({"commands": [str(path) for path in gone]}, printable(told))


add(app, "install", install)
add(app, "remove", remove)
