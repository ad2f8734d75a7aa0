# SPDX-License-Identifier: GPL-2.0-or-later
"""``kpatch-build``: builds a live patch module from source diffs, with kpatch-build's options and
file names.

Options that choose the kernel work here too.  Options about how to build are accepted with a note
that they are not needed.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from suture.compat.program import Died, run, say
from suture.host import progress
from suture.host.reporters import for_stderr

if TYPE_CHECKING:
    from suture.kernel.release import Target

NAME_LENGTH = 48
"""Length to which kpatch-build cuts a module's name."""

NEEDLESS = {
    "config": "-c: Suture reads the configuration from the kernel itself",
    "jobs": "-j: Suture compiles only the files that the patch touches",
    "target": "-t: Suture compiles only the files that the patch touches",
    "debug": "-d: there is no log; every refusal explains itself",
    "skip_cleanup": "--skip-cleanup: there are no scratch files to keep",
    "skip_compiler_check": "--skip-compiler-check: Suture compares the code with the shipped "
    "kernel in any case",
    "skip_gcc_check": "--skip-gcc-check: Suture compares the code with the shipped kernel in any "
    "case",
}

REFUSED = {
    "sourcerpm": "-r: source RPMs are not supported; unpack and build the source, and give the "
    "built tree with -s",
    "oot_module": "--oot-module: out-of-tree modules cannot be patched",
    "oot_module_src": "--oot-module-src: out-of-tree modules cannot be patched",
}


class Parser(argparse.ArgumentParser):
    """Exits with status 1 on a usage error, as kpatch-build does."""

    def error(self, message: str) -> NoReturn:
        """Print the usage to stderr, and end.

        :raises Died: with `message`
        """
        self.print_usage(sys.stderr)
        raise Died(message)


def parser() -> Parser:
    """Create the parser of kpatch-build's options."""
    made = Parser(
        prog="kpatch-build", usage="kpatch-build [options] <patch1 ... patchN>", allow_abbrev=False
    )
    made.add_argument("patches", nargs="*", type=Path, metavar="patch", help="source diffs")
    made.add_argument("-a", "--archversion", help="the kernel's release, as printed by uname -r")
    made.add_argument(
        "-s", "--sourcedir", type=Path, help="a kernel tree that you built, as the target"
    )
    made.add_argument("-v", "--vmlinux", type=Path, help="the kernel to patch")
    made.add_argument("-n", "--name", help="the module's name; by default livepatch-PATCH")
    made.add_argument("-o", "--output", type=Path, default=Path(), help="the output directory")
    made.add_argument(
        "-R", "--non-replace", action="store_true", help="stack on the live patches loaded earlier"
    )
    for letters, name in (("-c", "--config"), ("-j", "--jobs"), ("-t", "--target")):
        made.add_argument(letters, name, help="not needed")
    made.add_argument("-d", "--debug", action="count", help="not needed")
    for name in ("--skip-cleanup", "--skip-compiler-check", "--skip-gcc-check"):
        made.add_argument(name, action="store_true", help="not needed")
    made.add_argument("-r", "--sourcerpm", help="not supported")
    made.add_argument("-e", "--oot-module", help="not supported")
    made.add_argument("--oot-module-src", help="not supported")
    return made


def main(words: Sequence[str]) -> int:
    """Run one command line.

    :raises Died: in kpatch-build's words
    :raises Refusal: as `suture.builder`
    """
    given = parser().parse_args(list(words))
    for option, why in REFUSED.items():
        if getattr(given, option):
            raise Died(why)
    _check(given)
    for option, why in NEEDLESS.items():
        if getattr(given, option):
            print(f"not needed: {why}", file=sys.stderr)
    return _build(given, module_name(given.name, given.patches))


def module_name(name: str | None, patches: Sequence[Path]) -> str:
    """The file's name without ``.ko``: by default, ``livepatch-`` and the first patch's name."""
    chosen = name or f"livepatch-{patches[0].name.removesuffix('.patch').removesuffix('.diff')}"
    return re.sub("[^A-Za-z0-9_-]", "-", chosen)[:NAME_LENGTH]


def _check(given: argparse.Namespace) -> None:
    if not given.patches:
        raise Died("no patch file(s) specified")
    for patch in given.patches:
        if not (patch.is_file() or patch.is_fifo()):
            raise Died(f"patch file '{patch}' not found")
    if not given.output.is_dir():
        raise Died(f"output dir '{given.output}' not found")
    if given.sourcedir is not None and not given.sourcedir.is_dir():
        raise Died(f"source dir '{given.sourcedir}' not found")
    if given.vmlinux is not None and not given.vmlinux.is_file():
        raise Died(f"vmlinux file '{given.vmlinux}' not found")
    if given.archversion and given.vmlinux:
        raise Died("--archversion is incompatible with --vmlinux")
    if given.archversion and given.sourcedir:
        raise Died("--archversion is incompatible with --sourcedir")


def _build(given: argparse.Namespace, name: str) -> int:
    from suture.builder import build

    token = progress.reporter.set(for_stderr())
    try:
        target = _target(given)
        say(f"Building patch module: {name}.ko")
        build(
            given.patches,
            target,
            output=given.output / f"{name}.ko",
            name=name.replace("-", "_"),
            replace=not given.non_replace,
        )
    finally:
        progress.reporter.reset(token)
    say("SUCCESS")
    return 0


def _target(given: argparse.Namespace) -> Target:
    from suture import sources
    from suture.kernel import image
    from suture.sources.directory import from_directory

    if given.sourcedir is not None and (
        given.vmlinux is None or (given.sourcedir / "vmlinux").is_file()
    ):
        say(f"Using source directory at {given.sourcedir.absolute()}")
        return from_directory(given.sourcedir)
    if given.sourcedir is not None:
        print(
            "not needed: -s: the tree is not built; Suture uses the source of the kernel's package",
            file=sys.stderr,
        )
    if given.vmlinux is not None:
        return sources.find(image.read(given.vmlinux).release)
    return sources.find(given.archversion or os.uname().release)


def program() -> int:
    """Run as the program ``kpatch-build``."""
    return run(main, sys.argv[1:], "ERROR: ")


if __name__ == "__main__":
    sys.exit(program())
