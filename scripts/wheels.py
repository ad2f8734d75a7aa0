# SPDX-License-Identifier: GPL-2.0-or-later
"""Python packages of ``requirements.lock`` unpacked into one directory, for every Python that
Debian's releases have: an extension module has the version of its Python in its name."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import environment

TOP = Path(__file__).resolve().parent.parent
LOCK = TOP / "requirements.lock"

MINORS = (11, 12, 13, 14)
"""Of Python 3.  Debian 12 has 3.11, Debian 13 has 3.13."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "any")

NOT_SHIPPED = ("minilzo",)
"""Of vmlinux-to-elf's requirements: it unpacks images that Suture unpacks itself, with lzop."""

LEFT_OUT = (
    "*.dist-info/*",
    "*.data/*",
    "*.md",
    "debian/doc-debtags",
    "peewee-stubs/*",
    "playhouse/*",
    "pwiz.py",
    "vmlinux_to_elf/ui/*",
    "vmlinux_to_elf/utils/elf_tests/*",
    "zstandard/_cffi.*",  # for other Pythons than CPython
)
"""Files of wheels, as patterns of fnmatch: what only pip reads, and what Suture does not use."""

EMPTIED = ("vmlinux_to_elf/kernel_db/database.sqlite3",)
"""Files that are shipped empty: 34 MB, which the library opens, and which Suture asks nothing."""


class DownloadFailed(Exception):
    """pip could not download the wheels."""


def build_side() -> list[str]:
    """Return the names of the extra ``build`` and of what it needs, without those of the base
    install."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    wanted = closure(project["optional-dependencies"]["build"])
    return sorted(wanted - {*base()} - {*NOT_SHIPPED})


def base() -> list[str]:
    """Return the names of the base install."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    return sorted(closure(project["dependencies"]))


def closure(requirements: Iterable[str]) -> set[str]:
    """Return the normalised names of packages and of all that they need, as installed here."""
    found: set[str] = set()
    todo = [*requirements]
    while todo:
        requirement = Requirement(todo.pop())
        name = canonicalize_name(requirement.name)
        is_for_us = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if is_for_us and name not in found:
            found.add(name)
            todo += importlib.metadata.distribution(name).requires or ()
    return found


def locked(names: Iterable[str]) -> str:
    """Return the entries of the lock for packages, with their hashes.

    :raises KeyError: one is not locked
    """
    entries = re.split(r"^(?=[a-z])", LOCK.read_text(), flags=re.MULTILINE)[1:]
    by_name = {entry.partition("==")[0]: entry for entry in entries}
    return "".join(by_name[name] for name in names)


def download(names: Iterable[str], minor: int, directory: Path) -> list[Path]:
    """Download the wheels of packages for one Python, by the lock's hashes.

    :raises DownloadFailed: with what pip says
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    with tempfile.NamedTemporaryFile("w", suffix=".lock") as lock:
        lock.write(locked(names))
        lock.flush()
        command = [
            *(*pip, "download", "--quiet", "--no-deps", "--only-binary=:all:"),
            *("--require-hashes", "-r", lock.name, "--dest", str(directory)),
            *("--implementation=cp", f"--python-version=3.{minor}"),
            *(f"--abi={abi}" for abi in (f"cp3{minor}", "abi3", "none")),
            *(f"--platform={platform}" for platform in PLATFORMS),
        ]
        for variables in environment.environments(pip):
            done = subprocess.run(
                command, env=dict(variables), stderr=subprocess.PIPE, text=True, check=False
            )
            if done.returncode == 0:
                return sorted(directory.glob("*.whl"))
    raise DownloadFailed(done.stderr)


def files(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of what is used of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith("/") and not any(fnmatch(name, one) for one in LEFT_OUT):
                yield name, b"" if name in EMPTIED else archive.read(name)


def licence(wheel: Path) -> str:
    """Return what a wheel says of its licence: its licence files, or else the line of its metadata.

    The text of the GPL is on every Debian system, and is named instead.
    """
    with zipfile.ZipFile(wheel) as archive:
        about = {name: name.rpartition("/")[2] for name in sorted(archive.namelist())}
        kept = [name for name, last in about.items() if last.startswith(("LICEN", "COPYING"))]
        if not kept:
            kept = [name for name, last in about.items() if last == "METADATA"]
        texts = [archive.read(name).decode() for name in kept]
    lines = re.findall(r"^(?:License-Expression|Author|License): .*$", texts[0], re.MULTILINE)
    if re.search(r"^\s*GNU GENERAL PUBLIC LICENSE$", texts[0], re.MULTILINE):
        version = re.search(r"Version (\d)", texts[0])
        assert version is not None
        return f"GPL, version {version[1]} or later: /usr/share/common-licenses/GPL-{version[1]}\n"
    return "".join(f"{line}\n" for line in lines) or "\n".join(texts)


def unpack(wheels: Iterable[Path], directory: Path) -> None:
    """Unpack wheels into one directory.

    :raises ValueError: two have different files of the same name
    """
    for wheel in wheels:
        for name, content in files(wheel):
            path = directory / name
            if path.exists() and path.read_bytes() != content:
                raise ValueError(f"{name} is not the same in all wheels")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def licences(wheels: Iterable[Path]) -> str:
    """Return the licences of wheels, with their names and versions."""
    about = {wheel: " ".join(wheel.name.split("-")[:2]) for wheel in wheels}
    return "".join(f"\n{name}:\n\n{licence(wheel)}" for wheel, name in about.items())
