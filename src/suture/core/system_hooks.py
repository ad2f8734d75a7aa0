# SPDX-License-Identifier: GPL-2.0-or-later
"""Files by which other programs of the host ask Suture or tell it something, each in a directory
that the program has for this.

They name the Python that runs this, as the units do (`suture.core.units`).  A host without such a
program has no such directory, and gets no file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from suture.core import trusted, units

ETC = Path("/etc")


@dataclass(frozen=True, slots=True)
class SystemHook:
    """One file.

    :ivar path: below ``/etc``.
    :ivar template: its contents; ``{python}`` stands for Python's path.
    :ivar mode: as for chmod(2); programs are executable.
    :ivar about: what it brings about, for people.
    """

    path: str
    template: str
    about: str
    mode: int = 0o755


HOOKS = (
    SystemHook(
        "update-motd.d/60-suture",
        """\
#!/bin/sh
# Made by 'suture install'.  Logins show it (pam_motd(8)) where live patches need attention.
[ -x {python} ] || exit 0
exec {python} -I -m suture.core.login
""",
        "logins say where live patches need attention",
    ),
)


def enable(etc: Path = ETC, owner: int = 0) -> tuple[str, ...]:
    """Write the files whose directories are there.

    :return: the paths of those that were not there, or were others.
    :raises Refusal: ``path-untrusted``, ``store-unwritable``
    """
    units.check_code()
    return tuple(path for hook in HOOKS if (path := _write(hook, etc, owner)))


def disable(etc: Path = ETC, owner: int = 0) -> tuple[str, ...]:
    """Remove the files, and return their paths.

    :raises Refusal: ``path-untrusted``, ``store-unwritable``
    """
    removed = []
    for hook in HOOKS:
        place = etc / hook.path
        if place.exists():
            with _directory(place, etc, owner) as directory:
                directory.remove(place.name)
            removed.append(str(place))
    return tuple(removed)


def _write(hook: SystemHook, etc: Path, owner: int) -> str:
    place = etc / hook.path
    if not place.parent.is_dir():
        return ""
    content = hook.template.format(python=sys.executable).encode()
    with _directory(place, etc, owner) as directory:
        if place.name in directory.names() and directory.read(place.name) == content:
            return ""
        directory.write(place.name, content, mode=hook.mode)
    return str(place)


def _directory(place: Path, etc: Path, owner: int) -> trusted.Directory:
    anchor = Path("/") if etc == ETC else etc
    return trusted.open_directory(place.parent, anchor=anchor, owner=owner)
