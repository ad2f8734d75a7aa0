# SPDX-License-Identifier: GPL-2.0-or-later
"""Suture as ``pip install suture`` installs it, in a small file system image that the lab mounts at
``/usr/local``.

The files come from the Python that runs this: Suture itself and the dependencies of the base
install.  It has nothing else, so that a guest shows missing dependencies.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import suture
from suture.host import files, paths, run
from suture.lab import guests
from suture.lab.disk import as_root_would, ext4_command

PROGRAM = """#!/usr/bin/python3
import sys
from suture.__main__ import run
sys.exit(run())
"""

KEPT = 4
"""How many images of earlier sources stay in the cache."""

SIZE = "128M"


def image(extra: str = "") -> Path:
    """Return the image of the sources as they are now, from the cache or made; it must not be
    written to.

    :param extra: of Suture's extras, one that is installed too.
    :raises Refusal: ``command-failed``, ``tool-missing``, ``disk-full``
    """
    sources = Path(suture.__file__).parent
    final = paths.cache() / "lab" / f"installed-{_digest(sources, extra)}.ext4"
    with files.locked(final.parent / "installed.lock"):
        if not final.exists():
            with tempfile.TemporaryDirectory(prefix="suture-") as work:
                tree, made = Path(work, "local"), final.with_name(f"{files.TEMPORARY}{final.name}")
                _lay_out(sources, tree, extra)
                run.check(as_root_would(ext4_command(tree, made, SIZE)))
                os.rename(made, final)
            older = sorted(
                final.parent.glob("installed-*.ext4"), key=lambda path: path.stat().st_mtime
            )
            for path in older[:-KEPT]:
                path.unlink()
    return final


def _lay_out(sources: Path, tree: Path, extra: str) -> None:
    packages = tree / guests.here().python_packages
    shutil.copytree(sources, packages / "suture", ignore=shutil.ignore_patterns("__pycache__"))
    for distribution in _needed("suture", extra):
        for file in distribution.files or ():
            if ".." not in file.parts and not file.match("*.dist-info/*"):
                to = packages / file
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(
                    file.locate(), to
                )  # with its time, by which Python knows its compiled form
    compileall.compile_dir(packages, quiet=2)
    program = tree / "bin" / "suture"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)


def _needed(name: str, extra: str) -> Iterator[importlib.metadata.Distribution]:
    """Yield the dependencies of `name`, of its base install and of an extra, as far as they are
    installed here."""
    wanted = re.compile(f"extra == ['\"]{extra}['\"]" if extra else "(?!)")
    seen = {name}
    todo = [name]
    while todo:
        for requirement in importlib.metadata.distribution(todo.pop()).requires or ():
            needed = re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()
            is_left_out = "extra ==" in requirement and not wanted.search(requirement)
            if is_left_out or needed in seen:
                continue
            seen.add(needed)
            try:
                yield importlib.metadata.distribution(needed)
            except importlib.metadata.PackageNotFoundError:
                continue  # for another Python or another system
            todo.append(needed)


def _digest(sources: Path, extra: str) -> str:
    """Return a digest of the sources and of the versions of their dependencies."""
    digest = hashlib.sha256(sys.version.encode())
    for distribution in _needed("suture", extra):
        digest.update(f"{distribution.name} {distribution.version}\n".encode())
    for path in sorted(
        path for path in sources.rglob("*") if path.is_file() and path.suffix != ".pyc"
    ):
        digest.update(f"{path.relative_to(sources)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
