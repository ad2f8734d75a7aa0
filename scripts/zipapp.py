# SPDX-License-Identifier: GPL-2.0-or-later
"""Make build/suture.pyz of the committed tree: one file that loads live patches on a host with
Python 3.11 or later and nothing else.

It has the half of Suture that the Debian package ``suture`` has, and the Python packages that this
uses, but for cryptography, which is compiled: the host's is used where there is one.  The same
commit gives the same file.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zipfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

from scripts import wheels  # noqa: E402  (the path had to be set)
from scripts.deb import export, head  # noqa: E402

OUTPUT = TOP / "build" / "suture.pyz"

PACKAGE = "usr/lib/python3/dist-packages/"
"""What `runtime_half` is below in the Debian package."""

LEFT_OUT = frozenset(
    {
        *("cffi", "cryptography", "pycparser"),  # compiled, or needed by those alone
        *("markdown-it-py", "mdurl", "pygments"),  # of rich: for Markdown and program text
    }
)
"""Python packages of the base install that do not go with it."""

START = b"#!/usr/bin/env -S python3 -I\n"


def make(path: Path) -> Path:
    """Make the archive of HEAD, and return its path."""
    commit = head()
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".part")
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work, "tree")
        export(commit, tree)
        libraries = download(Path(work))
        contents = dict(file for wheel in libraries for file in wheels.files(wheel))
        contents |= runtime_half(tree)
        contents["__main__.py"] = (tree / "scripts/zipapp_main.py").read_bytes()
        notices = (tree / "COPYING").read_text() + wheels.licences(libraries)
        contents["COPYING"] = notices.encode()
    partial.write_bytes(START)
    with zipfile.ZipFile(partial, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(contents):
            archive.writestr(entry(name, commit.time), contents[name])
    partial.chmod(0o755)
    return partial.rename(path)


def runtime_half(tree: Path) -> dict[str, bytes]:
    """Return what the Debian package ``suture`` has of Suture, by its path in the archive."""
    listed = (tree / "packaging/debian/suture.install").read_text().split()
    places = [tree / "src" / line.removeprefix(PACKAGE) for line in listed if PACKAGE in line]
    files = [path for place in places for path in (place.rglob("*") if place.is_dir() else [place])]
    return {
        str(path.relative_to(tree / "src")): path.read_bytes() for path in files if path.is_file()
    }


def download(work: Path) -> list[Path]:
    """Return the wheels of the Python packages that go with it."""
    names = [name for name in wheels.base() if name not in LEFT_OUT]
    return wheels.download(names, wheels.MINORS[0], work / "wheels")


def entry(name: str, seconds: int) -> zipfile.ZipInfo:
    """Return the archive's record of a file, with the commit's time."""
    made = zipfile.ZipInfo(name, time.gmtime(seconds)[:6])
    made.compress_type = zipfile.ZIP_DEFLATED
    made.external_attr = 0o644 << 16
    return made


if __name__ == "__main__":
    print(make(OUTPUT))
