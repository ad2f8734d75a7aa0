# SPDX-License-Identifier: GPL-2.0-or-later
"""The command lines of inputs."""

from __future__ import annotations

Words = tuple[str, ...]

PATCH = "fix.patch"
MODULE = "fix.ko"


def build(*words: str) -> Words:
    """``suture build`` for the kernel at hand."""
    return ("build", *words, "--kernel", "{release}")


def convert(*words: str) -> Words:
    """``suture convert`` with no kernel."""
    return ("convert", *words)


def inspect(module: str = MODULE) -> Words:
    """``suture inspect`` of what a step before it wrote."""
    return ("inspect", module)


BUILD_PATCH = (build(PATCH),)
"""Of one source diff, with no options."""

BUILD_AND_INSPECT = (build(PATCH, "-o", MODULE), inspect())
