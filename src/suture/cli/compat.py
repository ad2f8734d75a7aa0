# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture compat install`` and ``suture compat remove``"""

from __future__ import annotations

from pathlib import Path

from suture.cli.commands import PATH, group, option
from suture.cli.output import emit, json_option
from suture.host.terminal import printable

compat = group(
    "compat",
    "Provide the commands of other live patching tools: kpatch, kpatch-build, klp and kgr.",
    ("suture compat install", "let scripts and units that call kpatch or klp find Suture"),
    ("suture compat install --prefix /usr", "install them where kpatch.service looks"),
)

prefix_option = option(
    "--prefix",
    metavar="DIR",
    type=PATH,
    default=Path("/usr/local"),
    help="Use sbin and bin below DIR.",
)


@compat.command("install")
@prefix_option
@json_option
def install(prefix: Path) -> None:
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


@compat.command("remove")
@prefix_option
@json_option
def remove(prefix: Path) -> None:
    """Remove only the commands that 'suture compat install' made."""
    from suture.compat.commands import remove as drop

    gone = drop(prefix)
    told = "\n".join(f"removed {path}" for path in gone) or "There were none."
    emit({"commands": [str(path) for path in gone]}, printable(told))
