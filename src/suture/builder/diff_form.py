# SPDX-License-Identifier: GPL-2.0-or-later
"""Source diffs, taken out of a written live patch again.

The written form keeps its sources unchanged (`suture.builder.convert`), so what comes out is what
the author gave, byte for byte: one file, or a directory with a series of several.  Decisions that
stand in ``livepatch.toml`` alone have no place in a diff; they are named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from suture.builder.inputs import Inputs, default_name, said_by
from suture.errors import NOT_A_DIFF, Refusal
from suture.formats.recognise import DIFFS, Input
from suture.formats.series import SERIES, SUFFIXES
from suture.host.files import new_directory, read_bytes, write_atomic
from suture.host.pipes import plain_name


@dataclass(frozen=True, slots=True)
class DiffForm:
    """The diffs that were written.

    :ivar files: their names, in order; in a directory, below it.
    :ivar dropped: decisions of the author that a diff cannot hold, as options of ``suture build``.
    """

    path: Path
    inputs: tuple[Input, ...]
    files: tuple[str, ...]
    dropped: tuple[str, ...]


def write_diffs(inputs: Inputs, output: Path) -> DiffForm:
    """Write the source diffs of inputs: one to a file, or several as a series to a new directory.

    :raises Refusal: ``not-a-diff``
    """
    for one in inputs.given:
        if one.format not in DIFFS:
            found = f"is {one.format.value} ({one.why}), which is no source diff"
            raise Refusal(NOT_A_DIFF, str(one), found)
    dropped = tuple(_dropped(inputs))
    if output.suffix in SUFFIXES:
        if len(inputs.given) > 1:
            found = f"there are {len(inputs.given)} diffs, which apply one after another"
            remedy = f"Name a directory for the series: --to diff -o {output.with_suffix('')}"
            why = "In one file, they would be read as one diff of the same tree."
            raise Refusal(NOT_A_DIFF, str(output), found, why=why, remedy=remedy)
        write_atomic(output, read_bytes(inputs.given[0].path))
        return DiffForm(output, inputs.given, (output.name,), dropped)
    named = [(_name(number, one), one) for number, one in enumerate(inputs.given, 1)]
    with new_directory(output) as directory:
        for name, one in named:
            write_atomic(directory / name, read_bytes(one.path))
        listing = "".join(f"{name}{_strip(one)}\n" for name, one in named)
        write_atomic(directory / SERIES, listing.encode())
    return DiffForm(output, inputs.given, (SERIES, *(name for name, _ in named)), dropped)


def _name(number: int, one: Input) -> str:
    """Return a name in a series, such as ``0001-fix.patch``."""
    name = plain_name(Path(one.name or one.path)).replace(" ", "-")
    known = name if name.endswith(SUFFIXES) else f"{name}.patch"
    return f"{number:04}-{known}"


def _strip(one: Input) -> str:
    """Return what a series file says of a diff's paths; those that it can say are 0 and 1."""
    return f" -p{one.strip}" if one.strip in (0, 1) else ""


def _dropped(inputs: Inputs) -> Iterator[str]:
    choices = inputs.choices
    first = inputs.given[0]
    # The written form has the name that the diff's title or file would give it too.
    if inputs.name != default_name(first.path, said_by(first)):
        yield f"--name {inputs.name}"
    if inputs.replace is False:
        yield "--no-replace"
    for option, names in (
        ("--patch-data", choices.patch_data),
        ("--keep-data", choices.keep_data),
        ("--replace-thread", choices.replace_threads),
        ("--cve", choices.said.cves),
        ("--url", choices.said.links),
    ):
        yield from (f"{option} {name}" for name in sorted(names))
    for option, number in (
        ("--caller-depth", choices.caller_depth),
        ("--caller-limit", choices.caller_limit),
    ):
        if number is not None:
            yield f"{option} {number}"
    if choices.said.title:
        yield f"--title '{choices.said.title}'"
    for accepted in choices.accepted:
        yield f"--accept {accepted.subject} --because '{accepted.because}'"
    for one in inputs.given:
        if one.strip is not None and one.strip > 1:
            yield f"--strip-level {one.strip}"
