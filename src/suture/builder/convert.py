# SPDX-License-Identifier: GPL-2.0-or-later
"""Any input -> the written form of a live patch.

The sources are copied unchanged.  With a target, the live patch is built once and the functions
that it replaces are recorded: a later build that would replace anything else is then refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.builder import build_gathered
from suture.builder.diff_form import DiffForm, write_diffs
from suture.builder.inputs import NO_CHOICES, Choices, gathered
from suture.builder.written_form import archive, manifest_and_files
from suture.elf import reader
from suture.errors import (
    NOT_A_SOURCE,
    OUTPUT_EXISTS,
    OUTPUT_FORM_UNKNOWN,
    Refusal,
)
from suture.formats import series, written
from suture.formats.recognise import MANIFEST, Format, Input
from suture.host.files import (
    check_output,
    new_directory,
    read_bytes,
    write_atomic,
)
from suture.host.pipes import kept
from suture.kernel.release import Target
from suture.model import LivePatch
from suture.module.kpatch import FUNCTIONS, is_kpatch_object

ARCHIVES = {".tar": "", ".xz": "xz", ".gz": "gz", ".tgz": "gz", ".txz": "xz"}
"""Suffix of an output that is an archive -> tar's compression."""

OF_FILES = frozenset(
    {
        *(".c", ".h", ".ko", ".o", ".toml", ".txt", ".md", ".html", ".json"),
        *(".mbox", ".eml", ".zip", ".zst", ".bz2", ".lz4"),
    }
)
"""Suffixes of files that are no form of a written live patch."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A written live patch.

    :ivar files: the names of its files, sorted.
    :ivar patch: the live patch that was built to record what it replaces; None without a target.
    """

    path: Path
    manifest: written.Manifest
    inputs: tuple[Input, ...]
    files: tuple[str, ...]
    patch: LivePatch | None = None


@kept()
def convert(
    given: Sequence[Path | str],
    output: Path,
    *,
    git: Path | None = None,
    target: Target | None = None,
    name: str | None = None,
    replace: bool | None = None,
    format: Format | None = None,
    strip: int | None = None,
    choices: Choices = NO_CHOICES,
) -> Converted:
    """Write inputs as one live patch in the written form.

    :param output: a new directory, or an archive if its name ends like one (``.tar.xz``).
    :param target: the kernel for which to record the replaced functions; None for no record.
    :raises Refusal: ``output-exists``, those of `gathered`, and with a target those of `build`
    """
    _check(output)
    with gathered(
        given, git=git, format=format, strip=strip, name=name, replace=replace, choices=choices
    ) as inputs:
        _refuse_built(inputs.given)
        built = None if target is None else build_gathered(inputs, target).patch
        manifest, files = manifest_and_files(
            inputs,
            None if inputs.is_one_module and not inputs.is_named else inputs.name,
            inputs.expected if built is None else written.objects(built),
        )
    if _compression(output) is None:
        with new_directory(output) as directory:
            written.write(directory, manifest, files)
    else:
        write_atomic(
            output,
            archive({MANIFEST: written.dumped(manifest), **files}, _compression(output) or ""),
        )
    return Converted(output, manifest, inputs.given, (MANIFEST, *sorted(files)), built)


@kept()
def convert_to_diffs(
    given: Sequence[Path | str],
    output: Path,
    *,
    git: Path | None = None,
    format: Format | None = None,
    strip: int | None = None,
    name: str | None = None,
    replace: bool | None = None,
    choices: Choices = NO_CHOICES,
) -> DiffForm:
    """Write the source diffs of inputs, of a written live patch first of all.

    :param output: a file (``.patch``, ``.diff``) for one, or a new directory for a series.
    :raises Refusal: ``not-a-diff``, ``output-exists``, and those of `gathered`
    """
    _check_new(output)
    with gathered(
        given, git=git, format=format, strip=strip, name=name, replace=replace, choices=choices
    ) as inputs:
        return write_diffs(inputs, output)


def is_diff_name(output: Path) -> bool:
    """Tell whether the name of an output asks for a diff."""
    return output.suffix in series.SUFFIXES


def _check(output: Path) -> None:
    _check_new(output)
    if output.suffix in OF_FILES:
        raise Refusal(OUTPUT_FORM_UNKNOWN, str(output), f"its name ends with {output.suffix}")


def _check_new(output: Path) -> None:
    if output.exists():
        raise Refusal(OUTPUT_EXISTS, str(output), "is there already")
    check_output(output)


def _refuse_built(given: Sequence[Input]) -> None:
    """Refuse ELF files that are no live patch's source, such as ``/bin/ls`` or a built module.

    :raises Refusal: ``not-a-source``
    """
    for one in given:
        if one.format is not Format.KPATCH_OBJECT:
            continue
        try:
            obj = reader.read(read_bytes(one.path), str(one))
        except Refusal as refusal:
            raise Refusal(NOT_A_SOURCE, str(one), refusal.found) from refusal
        if is_kpatch_object(obj):
            continue
        is_module = obj.section_named(".gnu.linkonce.this_module") is not None
        what = "is a built module" if is_module else "is an ELF file"
        raise Refusal(NOT_A_SOURCE, str(one), f"{what} without a section {FUNCTIONS}")


def _compression(output: Path) -> str | None:
    return ARCHIVES.get(output.suffix)
