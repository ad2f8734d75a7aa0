# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiler for a target: the very one that its ``.config`` names.

1. This host's own, if it is the same to the last letter of its version's line.
2. One that was unpacked beside it before, or that a source of kernels can unpack now
   (`suture.sources.source.KernelSource.compilers`).
3. If nobody has it any more, one of the same version of GCC with another name or from another
   upload: Debian's 12.2.0-14 and 12.2.0-14+deb12u1 make the same code of nearly everything.  That
   is a warning; whether the code is the same is then shown, as ever, by the comparison of each
   function with the shipped kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from suture import sources
from suture.errors import (
    COMPILER_DIFFERS,
    COMPILER_MISMATCH,
    TOOL_MISSING,
    Finding,
    Level,
    Refusal,
)
from suture.host.files import read_bytes
from suture.host.progress import note
from suture.host.run import run
from suture.kernel.config import assignments
from suture.sources.compiler import Compiler, split, unpacked
from suture.workspace.kbuild import clean_environment

TRIPLET = re.compile(r"^\w+-linux-gnu\w*-")
"""What the names of compilers for one architecture begin with."""

HERE = "this host's"


def compiler(config: Path, release: str = "") -> Compiler:
    """Return the compiler for a target, from this host or unpacked beside it.

    :param release: the target's, which may say where its compiler is from.
    :raises Refusal: ``compiler-mismatch``, ``file-unreadable``; and where one has to be unpacked:
        ``package-corrupt``, ``package-untrusted``, ``disk-full``, ``command-failed``
    """
    wanted = version_line(config)
    found = present(wanted)
    if found is not None:
        return found
    offers, refusals = sources.compilers(wanted, release)
    if offers and offers[0].is_exact:
        return _unpacked(offers[0], wanted)
    hosts = list(_hosts(wanted))
    for one in hosts:
        if _upstream(one.version) == _upstream(wanted):
            return one
    if offers:
        return _unpacked(offers[0], wanted)
    raise _mismatch(wanted, hosts, refusals)


def version_line(config: Path) -> str:
    """Return the first line of the ``--version`` of the compiler that built a target.

    :raises Refusal: ``compiler-mismatch`` (not GCC), ``file-unreadable``
    """
    options = assignments(read_bytes(config))
    wanted = options.get("CONFIG_CC_VERSION_TEXT", "").strip('"')
    if options.get("CONFIG_CC_IS_GCC") != "y" or not wanted:
        raise Refusal(
            COMPILER_MISMATCH,
            str(config),
            "the target was built by "
            f"{wanted or 'a compiler that its configuration does not name'}",
            why="Suture compiles with GCC only.",
            remedy="Choose a target that was built with GCC.",
        )
    return wanted


def present(wanted: str) -> Compiler | None:
    """Return the very compiler if it is here: this host's own, or unpacked before."""
    for one in _hosts(wanted):
        if one.is_exact:
            return one
    kept = unpacked(wanted)
    return None if kept is None else kept.compiler(wanted)


def findings(used: Compiler) -> tuple[Finding, ...]:
    """Return the warning about another compiler than the target's."""
    if used.is_exact:
        return ()
    name, _ = split(used.wanted)
    lines = (f"target: {used.wanted}", f"used:   {used.version}, {used.origin}")
    found = f"compiled with {used.version}"
    return (Finding(COMPILER_DIFFERS, name, used.wanted, found, lines, level=Level.WARN),)


def _unpacked(offer: sources.CompilerOffer, wanted: str) -> Compiler:
    note(f"{split(wanted)[0]} is unpacked beside this host's compilers: {offer.name}")
    return offer.get().compiler(wanted)


def _mismatch(wanted: str, hosts: Sequence[Compiler], refusals: Sequence[Refusal]) -> Refusal:
    command, _ = split(wanted)
    found = [one.version for one in hosts] or [f"none: {command} is not installed"]
    evidence = [f"target: {wanted}", *(f"here:   {version}" for version in found)]
    evidence += [f"no answer: {refusal.where}: {refusal.found}" for refusal in refusals]
    return Refusal(
        COMPILER_MISMATCH, command, "is not the compiler that built the target", evidence=evidence
    )


def _hosts(wanted: str) -> Iterator[Compiler]:
    """Yield the compilers on the PATH that have the wanted name, or the same without triplet."""
    command, _ = split(wanted)
    for name in dict.fromkeys((command, TRIPLET.sub("", command))):
        try:
            finished = run([name, "--version"], env=clean_environment())
        except Refusal as refusal:
            if refusal.kind is not TOOL_MISSING:
                raise
            continue
        version = finished.stdout.partition("\n")[0].strip()
        yield Compiler(name, version, wanted, HERE, version)


def _upstream(text: str) -> str:
    """Return GCC's own version in a version's line: ``12.2.0`` of ``gcc-12 (Debian 12.2.0-14)
    12.2.0``."""
    return text.rpartition(") ")[2]
