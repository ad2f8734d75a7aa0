# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks for building: the target, its exact compiler, kbuild's tools, Python packages, and disk
space."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from suture.doctor.check import Check, CheckStatus
from suture.errors import Refusal
from suture.host import deployment, distributions, paths
from suture.host.packages import BUILD_MODULES, TOOLS, Purpose, Tool
from suture.host.packages import compiler as compiler_tool
from suture.host.run import run

if TYPE_CHECKING:
    from suture.sources import CompilerOffer

NEEDED = 3 << 30
"""Bytes that one target takes: 0.2 GB packages, 0.6 GB unpacked, 1.5 GB source tree prepared
(linux-source-6.1)."""


@dataclass(frozen=True, slots=True)
class Known:
    """A target that this host knows.

    :ivar where: where it is known from, one line.
    :ivar compiler: the first line of its compiler's ``--version``, or only the compiler's name, or
        "".
    """

    where: str
    compiler: str
    fetched: bool


def checks(release: str, *, named: bool) -> Iterator[Check]:
    """Yield the checks for building.

    :param named: the user named `release`; otherwise it is the running kernel, which need not be a
        target.
    """
    known = target(release)
    yield _target_check(release, known, named=named)
    yield compiler_check(known.compiler if known else "", release)
    for tool in needed(Purpose.BUILDING):
        yield tool_check(tool)
    yield python_check(Purpose.BUILDING)
    yield _disk_check(fetched=known is not None and known.fetched)


def target(release: str) -> Known | None:
    """Return a kernel release that was fetched before or that a source of kernels offers, or
    None."""
    if missing_modules():
        return None
    from suture import sources
    from suture.kernel import config

    found = next((one for one in sources.fetched() if one.release == release), None)
    try:
        if found is not None:
            compiler = config.read(found.config).compiler
            return Known(f"fetched, version {found.version}", compiler, fetched=True)
        offer = sources.find_offer(release, refresh=False)
    except Refusal:
        return None
    return Known(
        f"the archive offers version {offer.version}", offer.toolchain().compiler, fetched=False
    )


def _target_check(release: str, known: Known | None, *, named: bool) -> Check:
    name = f"kernel {release}"
    if known is not None:
        return Check(Purpose.BUILDING, name, CheckStatus.OK, known.where)
    return Check(
        Purpose.BUILDING,
        name,
        CheckStatus.LACK if named else CheckStatus.WARNING,
        "not fetched, and no archive of this host offers it"
        if named
        else "running here, but no target",
        "choose one of 'suture kernel list', or give --kernel-dir to 'suture build'",
    )


def compiler_check(wanted: str, release: str = "") -> Check:
    """Check for the target's exact compiler, here or unpacked beside this host's: another one makes
    other code.

    :param wanted: as `Known.compiler`.
    :param release: the target's.
    """
    beside = _beside(wanted, release) if wanted and not missing_modules() else None
    return beside or _hosts_compiler(wanted)


def _beside(wanted: str, release: str) -> Check | None:
    """Return the check for a compiler that a build takes from beside this host's, or None if it
    takes the host's or finds none in the package lists that are here."""
    from suture import sources
    from suture.workspace import compilers

    command, _, version = wanted.partition(" ")
    name = f"compiler {command}"
    found = compilers.present(wanted) if version else None
    if found is not None and found.programs:
        said = f"{found.version}, {found.origin} to {found.programs}: this host has another"
        return Check(Purpose.BUILDING, name, CheckStatus.OK, said)
    if found is not None or (not version and compiler_tool(command).found() is not None):
        return None
    offers, _ = sources.compilers(wanted, release, refresh=False)
    if not offers:
        return None
    return _offered(name, wanted, offers[0])


def _offered(name: str, wanted: str, offer: CompilerOffer) -> Check:
    """Return the check for a compiler that a build would unpack."""
    if " " not in wanted:
        said = "not installed; a build unpacks the upload that built the kernel beside this host's"
        return Check(Purpose.BUILDING, name, CheckStatus.OK, f"{said} (here: {offer.name})")
    said = f"this host has another; a build unpacks {offer.name} beside it"
    if offer.is_exact:
        return Check(Purpose.BUILDING, name, CheckStatus.OK, said)
    said += f", because no archive has {wanted} any more"
    return Check(Purpose.BUILDING, name, CheckStatus.WARNING, said)


def _hosts_compiler(wanted: str) -> Check:
    here = distributions.here()
    tool = compiler_tool(wanted.split()[0] if wanted else here.compiler)
    package = here.package(tool)
    name = f"compiler {tool.program}"
    if tool.found() is None:
        built = "the target was" if wanted else f"{here.name} kernels were"
        return Check(
            Purpose.BUILDING,
            name,
            CheckStatus.LACK,
            f"not installed; {built} built with it",
            f"install {package or tool.program}",
            package,
        )
    found = run([tool.program, "--version"]).stdout.partition("\n")[0].strip()
    if " " in wanted and found != wanted:
        return Check(
            Purpose.BUILDING,
            name,
            CheckStatus.LACK,
            f"here: {found}; the target's: {wanted}",
            f"install the version of {package or tool.program} that the target was built with",
            package,
        )
    return Check(Purpose.BUILDING, name, CheckStatus.OK, found)


def needed(purpose: Purpose) -> Iterator[Tool]:
    """Yield the tools that this host needs for a purpose, besides the target's compiler."""
    for tool in (*TOOLS, *distributions.here().tools):
        if tool.purpose is purpose:
            yield tool


def tool_check(tool: Tool) -> Check:
    """Check for a program or header."""
    found = tool.found()
    if found is not None:
        return Check(tool.purpose, tool.looked_for, CheckStatus.OK, str(found))
    package = distributions.here().package(tool)
    return Check(
        tool.purpose,
        tool.looked_for,
        CheckStatus.LACK,
        f"not found; {tool.why}",
        f"install {package or tool.looked_for}",
        package,
    )


def missing_modules() -> tuple[str, ...]:
    """Return the missing Python modules of the extra ``build``."""
    return tuple(name for name in sorted(BUILD_MODULES) if find_spec(name) is None)


def python_check(purpose: Purpose) -> Check:
    """Check for the Python packages of the extra ``build``, which testing needs too."""
    missing = missing_modules()
    if missing:
        remedy = deployment.build_remedy() or "run pip install '.[build]' in Suture's source tree"
        found = f"missing: {', '.join(missing)}"
        return Check(purpose, "Python packages", CheckStatus.LACK, found, remedy)
    return Check(purpose, "Python packages", CheckStatus.OK, "all there")


def _disk_check(*, fetched: bool) -> Check:
    directory = paths.cache()
    free = shutil.disk_usage(_nearest_existing(directory)).free
    found = f"{free / 1e9:.1f} GB free for {directory}"
    if free >= NEEDED:
        return Check(Purpose.BUILDING, "disk space", CheckStatus.OK, found)
    return Check(
        Purpose.BUILDING,
        "disk space",
        CheckStatus.WARNING if fetched else CheckStatus.LACK,
        f"{found}; one target takes {NEEDED / 1e9:.1f} GB",
        "free some, or point XDG_CACHE_HOME or SUTURE_CACHE at a larger file system",
    )


def _nearest_existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
