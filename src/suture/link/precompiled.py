# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's headers that every module's own two files begin with, compiled once for a target.

Nine tenths of the time that the compiler takes for the glue, and for the ``NAME.mod.c`` of modpost,
go into headers, which are the same for every module of a target.  GCC takes them precompiled, and
makes the same bytes (GCC manual, "Using Precompiled Headers").

Only the module's name differs, which kbuild defines on the command line.  GCC takes no precompiled
header for another definition than the one it was made with.  So the header is made with the probe's
name, which must not come into it, and the name is defined anew behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from suture.host.run import run
from suture.link.recorded import PROBE, Words

HEADER = "headers.h"
NAMES = "names.h"

_INCLUDE_PATH = "./include/"
_DEFINED = re.compile(r"-D(\w+)=(.*)")
_DEPENDENCIES = ("-Wp,-MMD,", "-Wp,-MD,")


@dataclass(frozen=True, slots=True)
class ModuleCompiler:
    """A compiler's command, taken apart.

    :ivar options: what a precompiled header and all that uses it have in common.
    :ivar forced: the headers that are read before the file (``-include``).
    :ivar names: macro -> definition, of those that name the module.
    """

    options: Words
    forced: Words
    names: Mapping[str, str]


def taken_apart(words: Sequence[str]) -> ModuleCompiler | None:
    """:param words: the compiler's command for a file of the probe.
    :return: None where the probe is named by anything but a definition, the file that is read, and
        those that are written.
    """
    body = [word for word in words if not word.startswith(_DEPENDENCIES)]
    if "-c" not in body[-4:] or body[-4:-2] != ["-c", "-o"]:
        return None
    body = body[:-4]
    forced = [after for word, after in pairwise(body) if word == "-include"]
    options = [word for before, word in pairwise(["", *body]) if "-include" not in (before, word)]
    named = [match for word in options if PROBE in word and (match := _DEFINED.fullmatch(word))]
    if sum(PROBE in word for word in options) != len(named):
        return None
    if not all(path.startswith(_INCLUDE_PATH) for path in forced) or "-I./include" not in options:
        return None
    return ModuleCompiler(tuple(options), tuple(forced), {match[1]: match[2] for match in named})


def preamble(source: str) -> str:
    """The lines of preprocessor directives that a C file begins with; comments are left out."""
    lines = []
    for line in source.splitlines():
        if line.startswith("#"):
            lines.append(line)
        elif line and not line.startswith(("//", "/*")):
            break
    return "".join(f"{line}\n" for line in lines)


def _beginning(compiler: ModuleCompiler, source: str) -> str:
    """What the compiler reads before the first declaration that is the file's own."""
    forced = (f"#include <{path.removeprefix(_INCLUDE_PATH)}>\n" for path in compiler.forced)
    return "".join(forced) + preamble(source)


def make(
    compiler: ModuleCompiler,
    source: str,
    tree: Path,
    environment: Mapping[str, str],
    directory: Path,
) -> bool:
    """Precompile what `source` begins with in `directory`.

    :return: False where that cannot be: the headers use the module's name, or the compiler makes no
        such file.
    """
    directory.mkdir()
    header = directory / HEADER
    header.write_text(_beginning(compiler, source))
    plain = run([*compiler.options, "-E", header], cwd=tree, env=environment)
    if plain.status != 0 or PROBE in plain.stdout:
        return False
    product = directory / f"{HEADER}.gch"
    made = run(
        [*compiler.options, "-x", "c-header", "-o", product, header], cwd=tree, env=environment
    )
    return made.status == 0 and product.exists()


def suits(compiler: ModuleCompiler, kept: Path, source: str) -> bool:
    """Whether `source` begins with what is precompiled in `kept`."""
    header = kept / HEADER
    return header.exists() and _beginning(compiler, source).startswith(header.read_text())


def command(
    compiler: ModuleCompiler, kept: Path, name: str, source: Path, scratch: Path
) -> list[str | Path]:
    """Compile `source`, which begins as that which `make` was given, for the module `name`.

    :param kept: the directory of `make`.
    :param scratch: where a small header is written.
    """
    names = scratch / NAMES
    defined = [(macro, value.replace(PROBE, name)) for macro, value in compiler.names.items()]
    names.write_text(
        "".join(f"#undef {macro}\n#define {macro} {value}\n" for macro, value in defined)
    )
    headers = ("-include", kept / HEADER, "-include", names)
    return [*compiler.options, *headers, "-c", "-o", source.with_suffix(".o"), source]
