# SPDX-License-Identifier: GPL-2.0-or-later
"""Install the Debian packages of `suture.host.distributions.debian` that are missing, as root or
through sudo.

    python3 scripts/packages.py [--development]

Without ``--development``, those that only developers of Suture need are left out.  Where neither
root nor sudo is to be had, print the one line to run and end with status 1.  Runs on the system's
Python, before there is a virtual environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = (
    True  # root, through sudo, would leave files here that the user cannot remove
)
sys.path.insert(0, str(TOP / "src"))

from suture.host.distributions.debian import DebianHost  # noqa: E402  (the path had to be set)

OLDEST = (3, 11)
DEBIAN = DebianHost()


def main(arguments: Sequence[str]) -> int:
    if sys.version_info < OLDEST:
        print(f"Suture needs Python {'.'.join(map(str, OLDEST))} or later.", file=sys.stderr)
        return 1
    if not (shutil.which("dpkg-query") and shutil.which("apt-get")):
        print(
            "This set-up is for Debian. Elsewhere, see the list of requirements in README.md.",
            file=sys.stderr,
        )
        return 1
    missing = missing_packages(wanted_packages(arguments))
    if not missing:
        return 0
    prefix = become_root()
    if prefix is None:
        print(
            "Debian packages are missing, and installing them needs root. "
            "Run this, then the same make again:\n"
        )
        print(f"  sudo {DEBIAN.install_line(missing)}\n")
        return 1
    return install(prefix, missing)


def wanted_packages(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the packages that the command line asks for."""
    if "--development" in arguments:
        return DEBIAN.development_packages()
    return DEBIAN.needed_packages()


def missing_packages(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `wanted` that dpkg does not have installed (dpkg-query(1): a name it never heard of
    is left out)."""
    answer = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\n", *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (line.split() for line in answer.stdout.splitlines())
    installed = {name for status, name in lines if status == "installed"}
    return tuple(name for name in wanted if name not in installed)


def become_root() -> list[str] | None:
    """The words to put before a command, or None where neither root nor sudo is to be had.

    sudo may ask for a password only where someone can type it.
    """
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    if (
        sys.stdin.isatty()
        or subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo"]
    return None


def install(prefix: list[str], packages: tuple[str, ...]) -> int:
    """Run apt-get; its output is kept for when it fails."""
    print(f"Installing {len(packages)} Debian packages: {' '.join(packages)}", flush=True)
    started = time.monotonic()
    quiet = [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-q",
        "-y",
        "-o",
        "Dpkg::Use-Pty=0",
    ]
    for words in (["update"], ["install", "--no-install-recommends", *packages]):
        done = subprocess.run(
            [*prefix, *quiet, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        # An archive that is not to be reached leaves the lists as they were, and they may do.
        if done.returncode != 0 and words[0] == "install":
            print(done.stdout, file=sys.stderr)
            print(
                f"apt-get could not install them. By hand: sudo {DEBIAN.install_line(packages)}",
                file=sys.stderr,
            )
            return 1
    print(f"Installed in {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
