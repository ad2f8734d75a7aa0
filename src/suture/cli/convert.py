# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture convert``"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli import completion
from suture.cli.commands import PATH, OneOf, argument, command, option
from suture.cli.decisions import Decided, author_options
from suture.cli.input_options import format_option, git_option, strip_level_option
from suture.cli.option_parts import OptionPart
from suture.cli.output import emit, json_option
from suture.cli.target import chosen, kernel_dir_option

if TYPE_CHECKING:
    from suture.builder.convert import Converted
    from suture.builder.diff_form import DiffForm
    from suture.formats.recognise import Format

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


@command("convert", examples=EXAMPLES)
@argument(
    "inputs",
    metavar="INPUT...",
    nargs=-1,
    required=True,
    shell_complete=completion.inputs,
    help="Any input of 'suture build'.",
)
@option(
    "--output",
    "-o",
    metavar="OUT",
    type=PATH,
    required=True,
    help="A new directory; a .tar, .tar.gz or .tar.xz file; or a .patch or .diff file for "
    "the source diff.",
    panel=OptionPart.OUTPUT,
)
@option(
    "--to",
    metavar="FORM",
    type=OneOf(ConvertedForm),
    help="livepatch for the written form, or diff for the source diffs, several as a "
    "directory with a series; by default as OUT's name says.",
    panel=OptionPart.OUTPUT,
)
@option(
    "--kernel",
    metavar="RELEASE",
    shell_complete=completion.kernels,
    help="Build for this kernel and record what is replaced.",
    panel=OptionPart.TARGET,
)
@kernel_dir_option
@option("--name", metavar="NAME", help="The module's name.", panel=OptionPart.OUTPUT)
@option(
    "--replace/--no-replace",
    default=None,
    help="Replace all live patches loaded earlier, or stack on them.",
    panel=OptionPart.OUTPUT,
)
@format_option
@strip_level_option
@git_option
@author_options
@json_option
def convert(
    inputs: tuple[str, ...],
    output: Path,
    to: ConvertedForm | None,
    kernel: str | None,
    kernel_dir: Path | None,
    name: str | None,
    replace: bool | None,
    format: Format | None,
    strip_level: int | None,
    git: Path | None,
    decided: Decided,
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

    choices = decided.choices()
    if to is ConvertedForm.DIFF or (to is None and is_diff_name(output)):
        if kernel is not None or kernel_dir is not None:
            raise click.BadParameter("a diff does not record what it replaces in a kernel")
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
