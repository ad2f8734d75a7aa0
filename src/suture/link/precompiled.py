# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel headers of the glue and of ``NAME.mod.c``, precompiled once for a target.

The compiler spends nine tenths of its time for these two files on headers, which are the same for
every module of a target.  GCC makes the same bytes from precompiled headers (GCC manual, "Using
Precompiled Headers").

Only the module's name differs, which kbuild defines on the command line
(``-DKBUILD_MODNAME='"NAME"'``).  GCC rejects a precompiled header that was made with another
definition.  So the header is made with the probe's name, which its text must not use, and the real
name is defined after it.
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
    """A compiler's command in parts.

    :ivar options: the options that a precompiled header shares with the files that use it.
    :ivar forced: the headers that the compiler reads before the file (``-include``).
    :ivar names: macro -> definition, of macros that name the module.
    """

    options: Words
    forced: Words
    names: Mapping[str, str]


def parse_command(words: Sequence[str]) -> ModuleCompiler | None:
    """Split a compiler's command into the parts that name the module and the others.

    :param words: the command for a file of the probe.
    :return: None where anything but a definition, the source and the outputs names the probe: then
        a header that was precompiled with this command would not do for another module.
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
    """Return the preprocessor directives at the start of a C file, without comments."""
    lines = []
    for line in source.splitlines():
        if line.startswith("#"):
            lines.append(line)
        elif line and not line.startswith(("//", "/*")):
            break
    return "".join(f"{line}\n" for line in lines)


def _beginning(compiler: ModuleCompiler, source: str) -> str:
    """Return the directives that the compiler reads before the file's own first declaration."""
    forced = (f"#include <{path.removeprefix(_INCLUDE_PATH)}>\n" for path in compiler.forced)
    return "".join(forced) + preamble(source)


def make(
    compiler: ModuleCompiler,
    source: str,
    tree: Path,
    environment: Mapping[str, str],
    directory: Path,
) -> bool:
    """Precompile the headers that `source` begins with, into `directory`.

    :return: False where the headers use the module's name, or the compiler makes no such file.
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


def applies_to(compiler: ModuleCompiler, kept: Path, source: str) -> bool:
    """Whether `source` begins with the headers that are precompiled in `kept`."""
    header = kept / HEADER
    return header.exists() and _beginning(compiler, source).startswith(header.read_text())


def command(
    compiler: ModuleCompiler, kept: Path, name: str, source: Path, scratch: Path
) -> list[str | Path]:
    """Return the command that compiles `source` for the module `name`, and write a header for it.

    :param kept: the directory of `make`.
    :param scratch: takes the header, which defines the module's name.
    """
    names = scratch / NAMES
    defined = [(macro, value.replace(PROBE, name)) for macro, value in compiler.names.items()]
    names.write_text(
        "".join(f"#undef {macro}\n#define {macro} {value}\n" for macro, value in defined)
    )
    headers = ("-include", kept / HEADER, "-include", names)
    return [*compiler.options, *headers, "-c", "-o", source.with_suffix(".o"), source]
