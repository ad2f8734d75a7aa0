# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels that inputs are for: one release of each series, all known by the command line."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.behaviour.program import Program

SERIES = ("6.1", "6.12")
PLAIN = re.compile(r"\d+\.\d+\.\d+[^-]*(-\d+)?-amd64")
"""Neither ``-cloud-amd64`` nor ``-rt-amd64``: those are other configurations."""

ADDRESS = re.compile(r"@(\w+)@")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A release that has been fetched.

    :ivar files: its parts by name, as ``suture kernel show --json`` tells them.
    :ivar tree: those files of its source that inputs read.
    """

    series: str
    release: str
    version: str
    files: Mapping[str, str]
    tree: Path

    def with_addresses(self, text: str) -> str:
        """Put the address of the function for each ``@NAME@``."""
        names = set(ADDRESS.findall(text))
        addresses = _addresses(Path(self.files["kallsyms"]), names) if names else {}
        return ADDRESS.sub(lambda found: addresses[found[1]], text)


def find(program: Program, scratch: Path, wanted: Mapping[str, Iterable[str]]) -> dict[str, Kernel]:
    """Fetch a kernel of each series, if need be.

    :param scratch: where parts of their sources are kept.
    :param wanted: by series, the files that are needed of its source.
    """
    return {series: _kernel(program, scratch, series, paths) for series, paths in wanted.items()}


def _kernel(program: Program, scratch: Path, series: str, paths: Iterable[str]) -> Kernel:
    release = _choose(program, series)
    program.ask("kernel", "fetch", release)
    shown = program.ask("kernel", "show", release)
    version, files = shown["version"], shown["files"]
    assert isinstance(version, str)
    assert isinstance(files, dict)
    tree = _unpacked(Path(files["source"]), scratch, f"{release}-{version}", sorted(set(paths)))
    return Kernel(series, release, version, files, tree)


def _choose(program: Program, series: str) -> str:
    """The newest but one, as the tests choose it; one that is here goes before others."""
    offers = program.ask("kernel", "list")["offers"]
    assert isinstance(offers, list)
    known = [one for one in offers if _is_wanted(one["release"], series)]
    older = known[1:] or known
    here = [one for one in older if one["fetched"]]
    chosen: str = (here or older)[0]["release"]
    return chosen


def _is_wanted(release: str, series: str) -> bool:
    return release.startswith(f"{series}.") and PLAIN.fullmatch(release) is not None


def _unpacked(archive: Path, scratch: Path, name: str, paths: list[str]) -> Path:
    """A directory with those files of the source; it is kept until other files are needed."""
    final = scratch / f"{name}-{hashlib.sha256(' '.join(paths).encode()).hexdigest()[:12]}"
    if final.exists():
        return final
    unfinished = final.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    top = archive.name.removesuffix(".tar.xz")
    command = ["tar", "-xf", str(archive), "-C", str(unfinished), "--strip-components=1"]
    subprocess.run([*command, *(f"{top}/{path}" for path in paths)], check=True)
    return unfinished.rename(final)


def _addresses(kallsyms: Path, names: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in kallsyms.read_text().splitlines():
        address, _, name, *_ = line.split()
        if name in names:
            found.setdefault(name, f"0x{address}")
    return found
