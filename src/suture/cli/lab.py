# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture lab shell``"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.commands import PATH, argument, group, option
from suture.cli.output import emit, json_option, json_wanted
from suture.cli.target import chosen, kernel_dir_option, module_kernel_option
from suture.host import progress
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.kernel.release import Target
    from suture.lab.qemu import Share
    from suture.lab.shell import CommandStreams, GuestPatchFile, ShellResult

EXAMPLES = (
    (
        "suture lab shell --kernel 6.1.0-50-amd64",
        "look around in a kernel, with the files of this directory at /share",
    ),
    (
        "suture lab shell fix.ko --load",
        "try the kernel that a live patch is for, with the patch in force",
    ),
    (
        "suture lab shell fix.ko --share results <commands.sh",
        "run commands in the guest, which may write to the directory results",
    ),
)

lab = group("lab", "The throwaway virtual machine that boots a target.", *EXAMPLES)

MODULE_SUFFIX = ".ko"


@lab.command("shell", examples=EXAMPLES)
@argument(
    "paths",
    metavar="FILE",
    type=PATH,
    nargs=-1,
    help="Files to copy into the guest's /lab: live patch modules, scripts, programs.",
)
@module_kernel_option
@kernel_dir_option
@option(
    "--load",
    is_flag=True,
    help="Load the live patches among the files, in their order, before the shell.",
)
@option(
    "--share",
    metavar="DIR",
    type=PATH,
    help="Share this directory as /share, for the guest to read and write; by default the "
    "current directory, read-only.",
)
@option(
    "--module",
    "modules",
    metavar="NAME",
    multiple=True,
    help="Have this module of the target at hand for modprobe, with what it needs. Repeatable.",
)
@json_option
def shell(
    paths: tuple[Path, ...],
    kernel: str | None,
    kernel_dir: Path | None,
    load: bool,
    share: Path | None,
    modules: tuple[str, ...],
) -> None:
    """Boot the target in a throwaway virtual machine, and open a shell there.

    The target is the kernel that the first live patch is for, else the running kernel. The shell is
    busybox's, as root. Keys go to the guest, Ctrl-C too; exit or Ctrl-D ends the shell, and with it
    the guest. Ctrl-] three times within a second leaves a guest that hangs.

    Without a terminal, or with --json, the shell reads commands from standard input. The exit
    status is that of the shell, or 1 where this is refused.
    """
    from suture.lab.shell import CommandStreams, ShellPlan
    from suture.lab.shell import shell as run

    files, patches = _sorted(paths)
    if load and not patches:
        raise click.BadParameter("--load needs a live patch module")
    first = patches[0].found.release if patches and kernel_dir is None else None
    target = chosen(kernel or first, kernel_dir)
    _refuse_unfit(patches, target)
    shared = _share(share, target)
    plan = ShellPlan(files, tuple(patches), load, modules, shared)
    if not json_wanted.get():
        result = run(target, plan, None if _has_terminal() else _own_streams())
        _tell_complaints(result)
        raise click.exceptions.Exit(result.status)
    output, errors = io.BytesIO(), io.BytesIO()
    result = run(target, plan, CommandStreams(0, output.write, errors.write))
    emit(_document(result, output.getvalue(), errors.getvalue()), "")
    raise click.exceptions.Exit(result.status)


def _sorted(paths: Sequence[Path]) -> tuple[dict[str, bytes], list[GuestPatchFile]]:
    """Read the files, and tell live patches from others."""
    from suture.errors import NOT_A_LIVE_PATCH, Refusal
    from suture.host.files import read_bytes
    from suture.lab.shell import GuestPatchFile
    from suture.module.inspect import read_file

    files: dict[str, bytes] = {}
    patches = []
    names = [path.name for path in paths]
    for path in paths:
        if names.count(path.name) > 1:
            raise click.BadParameter(f"two files are called {path.name}")
        data = read_bytes(path)
        try:
            if path.suffix == MODULE_SUFFIX:
                patches.append(GuestPatchFile(path.name, data, read_file(path)))
                continue
        except Refusal as refusal:
            if refusal.kind != NOT_A_LIVE_PATCH:
                raise
        files[path.name] = data
    return files, patches


def _refuse_unfit(patches: Sequence[GuestPatchFile], target: Target) -> None:
    from suture.module.inspect import refuse_other_release, refuse_unapplied

    for one in patches:
        refuse_other_release(one.found, target.release, one.file)
        refuse_unapplied(one.found, one.file)


def _share(directory: Path | None, target: Target) -> Share | None:
    """Return the share of a named directory, which the guest may write to, or of the current
    one."""
    from suture.lab.shell import can_share, shared

    if directory is not None:
        return shared(directory, writable=True)
    if can_share(target):
        return shared(Path.cwd(), writable=False)
    progress.note(f"{target.release} cannot share a directory: it has no driver for 9P.")
    return None


def _has_terminal() -> bool:
    return os.isatty(0) and os.isatty(1)


def _own_streams() -> CommandStreams:
    from suture.lab.shell import CommandStreams

    return CommandStreams(0, _writer(1), _writer(2))


def _writer(descriptor: int) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        """Write all of it; there is no buffer that could keep it back."""
        while data:
            data = data[os.write(descriptor, data) :]

    return write


def _tell_complaints(result: ShellResult) -> None:
    for complaint in result.complaints:
        for line in (f"the kernel complained ({complaint.what}):", *complaint.lines):
            click.echo(printable(line), err=True)


def _document(result: ShellResult, output: bytes, errors: bytes) -> dict[str, object]:
    return {
        "release": result.release,
        "accelerator": result.accelerator,
        "status": result.status,
        "output": output.decode(errors="replace"),
        "errors": errors.decode(errors="replace"),
        "complaints": [{"what": one.what, "lines": one.lines} for one in result.complaints],
    }
