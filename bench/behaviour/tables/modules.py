# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules of C: kGraft's, the kernel's livepatch, and SUSE's directories of fixes."""

from __future__ import annotations

from bench.behaviour.model import Input
from bench.behaviour.parts import INPUTS, SOURCES, directory, file, of_source
from bench.behaviour.tables.steps import Words, build, inspect

KGRAFT = ("two_functions", "module_objects", "replaces_all", "system_calls", "unexported", "sleeps")
LIVEPATCH = (
    *("of_module", "named_symbols", "shadows", "changes_data", "old_calls", "todays_call"),
    "registered",
)
SAMPLES = (
    *("Makefile", "livepatch-sample.c", "livepatch-shadow-mod.c", "livepatch-shadow-fix1.c"),
    *("livepatch-shadow-fix2.c", "livepatch-callbacks-demo.c", "livepatch-callbacks-mod.c"),
    "livepatch-callbacks-busymod.c",
)
"""The kernel's own: some are live patches, the others modules that these patch."""


def _alone(camp: str, name: str, series: tuple[str, ...]) -> Input:
    """A C file with no Makefile."""
    source = file(SOURCES / camp / f"{name}.c")
    return Input(
        f"{camp}/{name.replace('_', '-')}", (build("fix.c"),), {"fix.c": source}, "", series
    )


def _changing(series: int) -> tuple[str, ...]:
    """A series, each in turn."""
    return ("6.1",) if series % 2 == 0 else ("6.12",)


def _directory(name: str, *steps: Words) -> Input:
    files = directory(SOURCES / name, name)
    return Input(f"{name}/directory", steps, files)


PARTS = {
    **directory(SOURCES / "kgraft" / "parts", ""),
    "kgr-main.c": file(SOURCES / "kgraft" / "parts" / "main.c").then(
        lambda text: text.replace(b"#include <fix.h>", b'#define KGR_LEVEL 7\n#include "fix.c"')
    ),
}
PARTS = {path.lstrip("/"): part for path, part in PARTS.items()}


ALL = (
    *(_alone("kgraft", name, _changing(number)) for number, name in enumerate(KGRAFT)),
    *(_alone("livepatch", name, _changing(number)) for number, name in enumerate(LIVEPATCH)),
    Input(
        "livepatch/samples",
        (build("samples", "-o", "out"),),
        {f"samples/{name}": of_source(f"samples/livepatch/{name}") for name in SAMPLES},
    ),
    _directory("kgraft", build("kgraft", "-o", "out")),
    _directory("livepatch", build("livepatch", "-o", "out")),
    _directory("suse", build("suse", "-o", "suse.ko"), inspect("suse.ko")),
    _directory("suse15", build("suse15", "-o", "suse15.ko"), inspect("suse15.ko")),
    Input("kgraft/included-file", (build("kgr-main.c"),), PARTS),
    Input(
        "livepatch/helper-in-a-thread",
        (build("helper.c"),),
        {"helper.c": file(INPUTS / "modules" / "helper.c")},
    ),
    Input(
        "livepatch/options",
        (
            build("fix.c", "--no-replace", "--name", "stacked", "-o", "stacked.ko"),
            inspect("stacked.ko"),
        ),
        {"fix.c": file(SOURCES / "livepatch" / "replaces.c")},
    ),
    Input(
        "suse/no-replace",
        (build("suse", "--no-replace", "-o", "suse.ko"),),
        directory(SOURCES / "suse", "suse"),
        series=("6.1",),
    ),
)
