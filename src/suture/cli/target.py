# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that choose the target, shared by all commands that need one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli import completion
from suture.cli.commands import PATH, option
from suture.cli.option_parts import OptionPart

if TYPE_CHECKING:
    from suture.kernel.release import Target
    from suture.sources.wanted import WantedKernel

kernel_option = option(
    "--kernel",
    metavar="RELEASE",
    shell_complete=completion.kernels,
    help="The target, as printed by uname -r; by default the running kernel.",
    panel=OptionPart.TARGET,
)
module_kernel_option = option(
    "--kernel",
    metavar="RELEASE",
    shell_complete=completion.kernels,
    help="The target, as printed by uname -r; by default the one that the module is for.",
    panel=OptionPart.TARGET,
)
kernels_option = option(
    "--kernel",
    metavar="RELEASE",
    multiple=True,
    shell_complete=completion.kernels,
    help="The target, as printed by uname -r; by default the running kernel. Repeatable; "
    "also a pattern, such as '6.1.*-amd64', or all: the kernels that are here or on offer.",
    panel=OptionPart.TARGET,
)
fetch_option = option(
    "--fetch",
    is_flag=True,
    help="Fetch kernels that are not here, without asking.",
    panel=OptionPart.TARGET,
)
kernel_dir_option = option(
    "--kernel-dir",
    metavar="DIR",
    type=PATH,
    help="Use a kernel tree that you built as the target instead.",
    panel=OptionPart.TARGET,
)


def chosen(kernel: str | None, kernel_dir: Path | None) -> Target:
    """The target that the options name.

    :raises Refusal: ``kernel-not-fetched`` and others of `suture.kernel`
    """
    if kernel is not None and kernel_dir is not None:
        raise click.BadParameter("give --kernel or --kernel-dir, not both")
    if kernel_dir is not None:
        from suture.sources.directory import from_directory

        return from_directory(kernel_dir)
    from suture import sources

    return sources.find(kernel or os.uname().release)


def chosen_several(
    kernels: Sequence[str], kernel_dir: Path | None, *, fetch: bool = False
) -> list[WantedKernel]:
    """The kernels that the options name, without duplicates; those that are not here are fetched
    when they are needed.

    :param fetch: without asking.
    :raises Refusal: as `chosen`, as `suture.sources.wanted.wanted`, and ``kernel-not-fetched``
        where nobody can be asked
    """
    from suture.sources.wanted import WantedKernel, is_pattern, refuse_unfetched, wanted

    names = list(dict.fromkeys(kernels))
    is_here = len(names) < 2 and not fetch and not any(map(is_pattern, names))
    if is_here or kernel_dir is not None:
        target = chosen(names[0] if names else None, kernel_dir)
        return [WantedKernel(target.release, target)]
    found = list(wanted(names or [os.uname().release]))
    if not fetch and any(kernel.target is None for kernel in found):
        from suture.cli.matrix import agreed_to_fetch

        if not agreed_to_fetch(found):
            refuse_unfetched(found)
    return found
