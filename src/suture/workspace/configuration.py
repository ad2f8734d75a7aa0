# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiler that a target's ``.config`` names, and a check that kbuild keeps all options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from suture.errors import COMPILER_MISMATCH, CONFIG_DIFFERS, TOOL_MISSING, Refusal
from suture.host.files import read_bytes
from suture.host.run import run
from suture.kernel.config import assignments
from suture.workspace.kbuild import clean_environment

UNIMPORTANT = re.compile(
    r"CONFIG_("
    # not read by any C code
    r"BUILD_SALT|MODULE_SIG_ALL|MODULE_SIG_KEY|SYSTEM_TRUSTED_KEYS|SYSTEM_REVOCATION_KEYS|"
    # what a tool said of itself
    r"(AS|LD|PAHOLE|RUSTC|BINDGEN|RUSTC_LLVM)_VERSION|(RUSTC|BINDGEN)_VERSION_TEXT|"
    r"RUST_IS_AVAILABLE|HAVE_RUST|TOOLS_SUPPORT_RELR|CC_CAN_LINK|CC_CAN_LINK_STATIC|PAHOLE_HAS_\w+|RUSTC_\w+"
    r")"
)
"""Options that may differ: they say how packages were made or which tools stand here, and no
compiled code reads them.

What such an option decides (``DEBUG_INFO_BTF``, which adds fields to ``struct module``) is compared
by its own name.
"""

NAMED = 8
"""How many differing options a message names."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """A compiler on this host.

    :ivar command: such as ``gcc-12``.
    :ivar version: the first line of its ``--version``.
    """

    command: str
    version: str


def compiler(config: Path) -> Compiler:
    """Return the compiler that built the target; it must be on this host.

    :raises Refusal: ``compiler-mismatch``, ``file-unreadable``
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
    command = wanted.split()[0]
    try:
        finished = run([command, "--version"], env=clean_environment())
        found = finished.stdout.partition("\n")[0].strip()
    except Refusal as refusal:
        if refusal.kind is not TOOL_MISSING:
            raise
        found = f"none: {command} is not installed"
    if found != wanted:
        lines = (f"target: {wanted}", f"here:   {found}")
        raise Refusal(
            COMPILER_MISMATCH, command, "is not the compiler that built the target", evidence=lines
        )
    return Compiler(command, found)


def check_same(release: str, shipped: bytes, resulting: bytes) -> None:
    """Check that kbuild kept all options of the target's configuration.

    :raises Refusal: ``config-differs``
    """
    before, after = assignments(shipped), assignments(resulting)
    differing = [
        f"{name}: {before.get(name, 'n')} in the target, {after.get(name, 'n')} here"
        for name in sorted(before.keys() | after.keys())
        if before.get(name, "n") != after.get(name, "n")
        and not UNIMPORTANT.fullmatch(name)
        # An empty string and an option that is not there are the same to Kconfig's users in C.
        and {before.get(name, "n"), after.get(name, "n")} != {"n", '""'}
    ]
    if differing:
        rest = [f"... and {len(differing) - NAMED} more"] if len(differing) > NAMED else []
        found = f"{len(differing)} option(s) would differ from the target's"
        raise Refusal(CONFIG_DIFFERS, release, found, evidence=differing[:NAMED] + rest)
