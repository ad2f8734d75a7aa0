# SPDX-License-Identifier: GPL-2.0-or-later
"""A browser for the checks of pages, in a directory of its own; nothing is installed on the host.

1. Debian's chromium, for this host's release, is unpacked by mmdebstrap.
2. Playwright is installed in a virtual environment, as requirements-pages.lock has it.
3. axe-core, the checks of accessibility, comes from npm's registry.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
LOCK = TOP / "requirements-pages.lock"
DIRECTORY = TOP / "build" / "browser"

PACKAGES = ("chromium", "fonts-dejavu-core")
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio")

AXE = "axe-core@4.14.1"
AXE_SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"

FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{root}/usr/share/fonts</dir><cachedir>{cache}</cachedir></fontconfig>
"""


@dataclass(frozen=True, slots=True)
class Browser:
    """What `scripts/page_check.py` runs with.

    :ivar python: the Python of the environment with Playwright.
    :ivar axe: axe-core's script.
    """

    python: Path
    chromium: Path
    axe: Path
    environment: dict[str, str]


def prepare(directory: Path = DIRECTORY) -> Browser:
    """Return the browser; set up what is not there yet.

    :raises CalledProcessError: a package cannot be had
    """
    directory.mkdir(parents=True, exist_ok=True)
    root = _made(directory / "root", _unpack_chromium)
    venv = _made(directory / "venv", _install_playwright)
    axe = _made(directory / "axe", _fetch_axe)
    fonts = directory / "fonts.conf"
    fonts.write_text(FONTS.format(root=root, cache=directory / "fonts"))
    libraries = ":".join(str(root / name) for name in LIBRARIES)
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries, "FONTCONFIG_FILE": str(fonts)}
    return Browser(
        venv / "bin" / "python",
        root / "usr/lib/chromium/chromium",
        axe / "package" / "axe.min.js",
        environment,
    )


def _made(place: Path, make: Callable[[Path], None]) -> Path:
    """Return a directory; it is made under another name first, so that it is whole."""
    if not place.exists():
        unfinished = place.with_name(f"{place.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        make(unfinished)
        unfinished.rename(place)
    return place


def _unpack_chromium(place: Path) -> None:
    from suture.lab import debian

    sources = place.with_name("sources.list")
    sources.write_text("".join(f"{line}\n" for line in debian.apt_sources()))
    options = ["--quiet", "--variant=extract", f"--include={','.join(PACKAGES)}"]
    subprocess.run(
        ["mmdebstrap", *options, debian.codename(), str(place), str(sources)], check=True
    )


def _install_playwright(place: Path) -> None:
    # Its programs name the directory that it is made in; only its Python is run later.
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    environment = TOP / "scripts" / "environment.py"
    subprocess.run([sys.executable, str(environment), str(place), str(LOCK)], check=True)


def _fetch_axe(place: Path) -> None:
    place.mkdir()
    subprocess.run(["npm", "pack", "--silent", AXE], cwd=place, check=True, capture_output=True)
    (archive,) = place.glob("*.tgz")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != AXE_SHA256:
        raise ValueError(f"{AXE} has another digest: {found}")
    with tarfile.open(archive) as packed:
        packed.extractall(place, filter="data")


if __name__ == "__main__":
    print(prepare())
