# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs of different camps that become one live patch, and the written form of live patches."""

from __future__ import annotations

from bench.behaviour.model import Input
from bench.behaviour.parts import INPUTS, SOURCES, Part, diff, directory, file, of_source
from bench.behaviour.tables.diffs import ALL_DECISIONS, DECIDED, LIMITS
from bench.behaviour.tables.kpatch import CALLBACKS, OF_A_MODULE
from bench.behaviour.tables.ksplice import DATA
from bench.behaviour.tables.places import NEW_LOADAVG, NEW_VERSION
from bench.behaviour.tables.steps import PATCH, Words, build, convert, inspect

WRITTEN = "fix.livepatch"
STATE = {
    "6.1": "lib/livepatch",
    "6.12": "tools/testing/selftests/livepatch/test_modules",
}
"""Where the kernel has the modules of its selftests."""

THREE: dict[str, Part] = {
    "one.c": file(INPUTS / "modules" / "cmdline.c"),
    "two.c": file(INPUTS / "modules" / "uptime.c"),
    "three.patch": diff(NEW_VERSION),
}
FOUR: dict[str, Part] = {
    "kpatch.patch": diff(*CALLBACKS),
    "ksplice.patch": diff(*DATA),
    "fix.c": file(SOURCES / "livepatch" / "of_module.c"),
    "plain.patch": diff(NEW_LOADAVG),
}


def _stated(series: str) -> Input:
    files = {
        "test_klp_state.c": of_source(f"{STATE[series]}/test_klp_state.c"),
        PATCH: diff(NEW_VERSION),
    }
    words = build("test_klp_state.c", PATCH, "--name", "stated", "-o", "stated.ko")
    return Input("together/states", (words, inspect("stated.ko")), files, series=(series,))


def _written(name: str, files: dict[str, Part], *words: str, output: str = WRITTEN) -> Input:
    """Converted with no kernel, and built."""
    steps: tuple[Words, ...] = (
        convert(*words, "-o", output),
        build(output, "-o", "built.ko"),
    )
    return Input(f"written/{name}", steps, files)


def _checked(name: str, files: dict[str, Part], *words: str) -> Input:
    """Converted for the kernel, so that what it replaces is written down; built from an archive."""
    steps: tuple[Words, ...] = (
        convert(*words, "--kernel", "{release}", "-o", WRITTEN),
        convert(WRITTEN, "-o", "fix.tar.xz"),
        build("fix.tar.xz", "-o", "built.ko"),
    )
    return Input(f"written/{name}", steps, files)


ALL = (
    Input(
        "together/three-camps",
        (build(*THREE, "--name", "three", "-o", "three.ko"), inspect("three.ko")),
        THREE,
    ),
    Input("together/four-camps", (build(*FOUR, "--name", "four", "-o", "four.ko"),), FOUR),
    Input(
        "together/module-callbacks",
        (build(*FOUR, "module.patch", "--name", "five", "--no-replace"),),
        {**FOUR, "module.patch": diff(OF_A_MODULE[1])},
        series=("6.12",),
    ),
    _stated("6.1"),
    _stated("6.12"),
    _written("diff", {PATCH: diff(NEW_VERSION)}, PATCH),
    _written("four-camps", FOUR, *FOUR, "--name", "four"),
    _written("suse", dict(directory(SOURCES / "suse", "suse")), "suse"),
    _checked("diff-checked", {PATCH: diff(*CALLBACKS)}, PATCH),
    _checked("all-decisions", {PATCH: ALL_DECISIONS}, PATCH, *DECIDED, *LIMITS),
    _checked("kgraft-checked", {"fix.c": THREE["one.c"]}, "fix.c"),
)
