# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the files of the Debian package that Suture would else write into ``/etc`` itself, below
DIRECTORY, with this tree's own texts.

    PYTHONPATH=src python3 scripts/system_files.py DIRECTORY

Needs nothing but Python.
"""

from __future__ import annotations

import sys
from pathlib import Path

from suture.core import system_hooks, units
from suture.host.deployment import PACKAGED

UNITS = Path("usr/lib/systemd/system")

PROGRAM = """\
#!/usr/bin/python3 -I
import sys

from suture.__main__ import run

sys.exit(run())
"""

README = """\
trusted/            certificates, PEM or DER, one a file: 'suture load --require-signature' and
                    'suture install --require-signature' accept live patches signed by their keys
hooks.d/pre-load/   programs that run before a live patch is loaded; exit status 1 refuses it
hooks.d/post-load/  programs that run after it has come into force
hooks.d/failed/     programs that run after it could not be loaded
hooks.d/drift/      programs that 'suture status --notify' runs where all is not well
follow.toml         the repository that this host follows, and how: 'suture follow setup' writes it
root.json           the root metadata of that repository, which this host trusts
hooks.d/drain/      programs that run before 'suture fleetlock reboot' reboots; exit status 1 keeps
                    it from that
hooks.d/steady/     programs that run after that reboot; exit status 1 keeps the slot
cache               a directory, or a link to one, for kernels and prepared sources of all users

Only root may be able to change what is here, and the directories above; otherwise, Suture refuses
it. Each program gets the facts as one JSON object on standard input. See running.md,
reboots.md, repository.md and targets.md in /usr/share/doc/suture.
"""


def main(directory: str) -> None:
    """Write all of them."""
    root = Path(directory)
    for name, template in units.UNIT_TEMPLATES.items():
        write(root / UNITS / name, PACKAGED.fill(template))
    for hook in system_hooks.HOOKS:
        write(root / "etc" / hook.path, PACKAGED.fill(hook.template), hook.mode)
    write(root / "etc/suture/README", README)
    write(root / "usr/bin/suture", PROGRAM, 0o755)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


if __name__ == "__main__":
    main(*sys.argv[1:])
