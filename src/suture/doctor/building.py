# SPDX-License-Identifier: GPL-2.0-or-later
"""What building needs: the target, its very compiler, kbuild's tools, Python packages, room on the
disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from suture.doctor.check import Check, Status
from suture.errors import Refusal
from suture.host import paths
from suture.host.packages import BUILD_MODULES, COMPILER, PACKAGES, Package, Purpose, for_compiler
from suture.host.run import run

NEEDED = 3 << 30
"""Bytes that one target takes: 0.2 GB packages, 0.6 GB unpacked, 1.5 GB source tree prepared
(linux-source-6.1)."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about a target before it is built for.

    :ivar where: how it is known, one line.
    :ivar compiler: the first line that its compiler prints of itself, or only the compiler's name,
        or "".
    """

    where: str
    compiler: str
    fetched: bool


def checks(release: str, *, named: bool) -> Iterator[Check]:
    """:param named: the user asked for `release`; else it is the running kernel, which need not be
    a target."""
    known = target(release)
    yield _target_check(release, known, named=named)
    yield compiler_check(known.compiler if known else "")
    for package in PACKAGES:
        if package.purpose is Purpose.BUILDING and package.name != COMPILER:
            yield package_check(package)
    yield _python_check()
    yield _disk_check(fetched=known is not None and known.fetched)


def target(release: str) -> Known | None:
    """What this host knows of a kernel release: fetched before, or offered by the archives that apt
    has lists of."""
    if missing_modules():
        return None
    from suture import sources
    from suture.kernel import config

    try:
        found = sources.find(release)
        return Known(
            f"fetched, version {found.version}", config.read(found.config).compiler, fetched=True
        )
    except Refusal:
        pass
    try:
        offer = sources.survey().offer(release)
    except Refusal:
        return None
    return Known(
        f"the archive offers version {offer.version}", offer.toolchain().compiler, fetched=False
    )


def _target_check(release: str, known: Known | None, *, named: bool) -> Check:
    name = f"kernel {release}"
    if known is not None:
        return Check(Purpose.BUILDING, name, Status.OK, known.where)
    return Check(
        Purpose.BUILDING,
        name,
        Status.LACK if named else Status.WARNING,
        "not fetched, and no apt archive of this host offers it"
        if named
        else "running here, but no target",
        "choose one of 'suture kernel list', or give --kernel-dir to 'suture build'",
    )


def compiler_check(wanted: str) -> Check:
    """The compiler must be the target's to the last digit: another one makes other code.

    :param wanted: as `Known.compiler`.
    """
    package = for_compiler(wanted.split()[0] if wanted else COMPILER)
    name = f"compiler {package.name}"
    if package.found() is None:
        needed = f"not installed; {'the target was' if wanted else 'Debian 12 kernels were'} built with it"
        return Check(
            Purpose.BUILDING, name, Status.LACK, needed, f"install {package.name}", package.name
        )
    found = run([package.program, "--version"]).stdout.partition("\n")[0].strip()
    if " " in wanted and found != wanted:
        return Check(
            Purpose.BUILDING,
            name,
            Status.LACK,
            f"here: {found}; the target's: {wanted}",
            f"install the version of {package.name} that the target was built with",
            package.name,
        )
    return Check(Purpose.BUILDING, name, Status.OK, found)


def package_check(package: Package) -> Check:
    found = package.found()
    if found is None:
        return Check(
            package.purpose,
            package.looked_for,
            Status.LACK,
            f"not found; {package.why}",
            f"install {package.name}",
            package.name,
        )
    return Check(package.purpose, package.looked_for, Status.OK, str(found))


def missing_modules() -> tuple[str, ...]:
    return tuple(name for name in sorted(BUILD_MODULES) if find_spec(name) is None)


def _python_check() -> Check:
    missing = missing_modules()
    if missing:
        remedy = "pip install 'suture[build]'"
        return Check(
            Purpose.BUILDING,
            "Python packages",
            Status.LACK,
            f"missing: {', '.join(missing)}",
            remedy,
        )
    return Check(Purpose.BUILDING, "Python packages", Status.OK, "all there")


def _disk_check(*, fetched: bool) -> Check:
    directory = paths.cache()
    free = shutil.disk_usage(_nearest_existing(directory)).free
    found = f"{free / 1e9:.1f} GB free for {directory}"
    if free >= NEEDED:
        return Check(Purpose.BUILDING, "disk space", Status.OK, found)
    return Check(
        Purpose.BUILDING,
        "disk space",
        Status.WARNING if fetched else Status.LACK,
        f"{found}; one target takes {NEEDED / 1e9:.1f} GB",
        "free some, or point XDG_CACHE_HOME at a larger file system",
    )


def _nearest_existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
