# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture convert``"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli import completion
from suture.cli.acceptances import Accept, Because, acceptances
from suture.cli.input_options import Git, InputFormat, StripLevel
from suture.cli.option_parts import OptionPart
from suture.cli.output import Json, emit
from suture.cli.purpose import Cve, Title, Url, said
from suture.cli.suse import Only
from suture.cli.target import KernelDir, chosen

if TYPE_CHECKING:
    from suture.builder.convert import Converted
    from suture.builder.diff_form import DiffForm

EXAMPLES = (
    ("suture convert fix.patch -o fix.livepatch", "write a directory to check in and review"),
    (
        "suture convert kgr_fix.c -o fix.livepatch --kernel 6.1.0-50-amd64",
        "also record what it replaces in this kernel",
    ),
    (
        "suture convert one.patch two.patch -o both.livepatch.tar.xz",
        "combine two inputs in one archive",
    ),
    ("suture convert fix.livepatch -o fix.patch", "take the source diff out of it again"),
)


class ConvertedForm(StrEnum):
    """What inputs can be converted to."""

    LIVEPATCH = "livepatch"
    DIFF = "diff"


def convert(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            autocompletion=completion.inputs,
            help="Any input of 'suture build'.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            readable=False,
            help="A new directory; a .tar, .tar.gz or .tar.xz file; or a .patch or .diff file for "
            "the source diff.",
            rich_help_panel=OptionPart.OUTPUT,
        ),
    ],
    to: Annotated[
        ConvertedForm | None,
        typer.Option(
            "--to",
            metavar="FORM",
            help="livepatch for the written form, or diff for the source diffs, several as a "
            "directory with a series; by default as OUT's name says.",
            rich_help_panel=OptionPart.OUTPUT,
        ),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            "--kernel",
            metavar="RELEASE",
            autocompletion=completion.kernels,
            help="Build for this kernel and record what is replaced.",
            rich_help_panel=OptionPart.TARGET,
        ),
    ] = None,
    kernel_dir: KernelDir = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="The module's name.", metavar="NAME", rich_help_panel=OptionPart.OUTPUT
        ),
    ] = None,
    replace: Annotated[
        bool | None,
        typer.Option(
            "--replace/--no-replace",
            help="Replace all live patches loaded earlier, or stack on them.",
            rich_help_panel=OptionPart.OUTPUT,
        ),
    ] = None,
    format: InputFormat = None,
    strip_level: StripLevel = None,
    git: Git = None,
    patch_data: Annotated[
        list[str] | None,
        typer.Option(
            "--patch-data",
            metavar="NAME",
            help="As in 'suture build'.",
            rich_help_panel=OptionPart.DECISIONS,
        ),
    ] = None,
    keep_data: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-data",
            metavar="NAME",
            help="As in 'suture build'.",
            rich_help_panel=OptionPart.DECISIONS,
        ),
    ] = None,
    replace_thread: Annotated[
        list[str] | None,
        typer.Option(
            "--replace-thread",
            metavar="NAME",
            help="As in 'suture build'.",
            rich_help_panel=OptionPart.DECISIONS,
        ),
    ] = None,
    caller_depth: Annotated[
        int | None,
        typer.Option(
            "--caller-depth",
            min=0,
            help="As in 'suture build'.",
            metavar="LEVELS",
            rich_help_panel=OptionPart.DECISIONS,
        ),
    ] = None,
    caller_limit: Annotated[
        int | None,
        typer.Option(
            "--caller-limit",
            min=1,
            help="As in 'suture build'.",
            metavar="N",
            rich_help_panel=OptionPart.DECISIONS,
        ),
    ] = None,
    only: Only = None,
    accept: Accept = None,
    because: Because = None,
    title: Title = None,
    cve: Cve = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Convert a live patch to Suture's written form: livepatch.toml and the sources it names.

    The written form can be checked in, reviewed, and built for several kernels. The sources are
    copied unchanged. With --kernel, Suture builds the live patch once and records what it replaces;
    it then refuses any later build that would replace something else.

    In the other direction, to a .patch file or with --to diff, it gives the source diffs as they
    were put in, and says which decisions of livepatch.toml a diff cannot hold.
    """
    from suture.builder.convert import convert as write_down
    from suture.builder.convert import convert_to_diffs, is_diff_name
    from suture.builder.inputs import Choices

    choices = Choices(
        frozenset(patch_data or ()),
        frozenset(keep_data or ()),
        frozenset(replace_thread or ()),
        caller_depth,
        caller_limit,
        acceptances(accept, because),
        said(title, cve, url),
        only=tuple(only or ()),
    )
    if to is ConvertedForm.DIFF or (to is None and is_diff_name(output)):
        if kernel is not None or kernel_dir is not None:
            raise typer.BadParameter("a diff does not record what it replaces in a kernel")
        taken = convert_to_diffs(
            inputs,
            output,
            git=git,
            format=format,
            strip=strip_level,
            name=name,
            replace=replace,
            choices=choices,
        )
        emit(taken, lambda: _diffs_for_people(taken))
        return
    target = chosen(kernel, kernel_dir) if kernel is not None or kernel_dir is not None else None
    converted = write_down(
        inputs,
        output,
        git=git,
        target=target,
        name=name,
        replace=replace,
        format=format,
        strip=strip_level,
        choices=choices,
    )
    emit(_document(converted), lambda: _for_people(converted))


def _document(converted: Converted) -> dict[str, object]:
    from msgspec import to_builtins

    return {
        "output": str(converted.path),
        "manifest": to_builtins(converted.manifest),
        "patch": converted.patch,
        "inputs": converted.inputs,
        "files": converted.files,
    }


def _diffs_for_people(taken: DiffForm) -> str:
    how = "the source diff" if len(taken.inputs) == 1 else "a series of source diffs"
    lines = [f"{taken.path} is {how}, as it was put in."]
    lines += [f"  from     {one}: {one.format.value}; {one.why}" for one in taken.inputs]
    lines += [f"  leaves out {one}" for one in taken.dropped]
    return "\n".join(lines)


def _for_people(converted: Converted) -> str:
    name = converted.patch.name if converted.patch is not None else converted.manifest.name
    lines = [f"{converted.path} is {f'the live patch {name}' if name else 'a live patch'}."]
    lines += [f"  from     {one}: {one.format.value}; {one.why}" for one in converted.inputs]
    for patched in converted.manifest.object:
        lines += [
            f"  replaces {patched.name}: {function.old_name}()" for function in patched.function
        ]
        lines += [
            f"  calls    {patched.name}: a {kind.value} callback" for kind in patched.callback
        ]
    if converted.patch is not None:
        lines += [f"  attaches shadow variable {one}" for one in converted.patch.shadow_variables]
        lines += [
            f"  uses     {one.symbol.objname}: {one.symbol.name}"
            for one in converted.patch.references
        ]
    return "\n".join(lines)
