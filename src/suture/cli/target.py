# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that choose the target, shared by all commands that need one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from suture.kernel.release import Target

Kernel = Annotated[
    str | None,
    typer.Option(
        "--kernel",
        metavar="RELEASE",
        help="The target, as printed by uname -r; by default the running kernel.",
    ),
]
Kernels = Annotated[
    list[str] | None,
    typer.Option(
        "--kernel",
        metavar="RELEASE",
        help="The target, as printed by uname -r; by default the running kernel. Repeatable.",
    ),
]
KernelDir = Annotated[
    Path | None,
    typer.Option(
        "--kernel-dir",
        metavar="DIR",
        readable=False,
        help="Use a kernel tree that you built as the target instead.",
    ),
]

Git = Annotated[
    Path | None,
    typer.Option(
        "--git",
        metavar="DIR",
        readable=False,
        help="Take commits of this git repository: INPUT is a commit or a range, and paths.",
    ),
]


def chosen(kernel: str | None, kernel_dir: Path | None) -> Target:
    """The target that the options name.

    :raises Refusal: ``kernel-not-fetched`` and others of `suture.kernel`
    """
    if kernel is not None and kernel_dir is not None:
        raise typer.BadParameter("give --kernel or --kernel-dir, not both")
    if kernel_dir is not None:
        from suture.sources.directory import from_directory

        return from_directory(kernel_dir)
    from suture import sources

    return sources.find(kernel or os.uname().release)


def chosen_several(kernels: list[str] | None, kernel_dir: Path | None) -> list[Target]:
    """The targets that the options name, without duplicates.

    :raises Refusal: as `chosen`
    """
    return (
        [chosen(kernel, kernel_dir) for kernel in dict.fromkeys(kernels)]
        if kernels
        else [chosen(None, kernel_dir)]
    )
