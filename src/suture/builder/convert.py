# SPDX-License-Identifier: GPL-2.0-or-later
"""From any input to the written form of a live patch.

The sources are taken along unchanged.  With a target at hand the live patch is built once, and what
it replaces is written down with it: a later build that would replace anything else is then refused.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.builder import build
from suture.builder.inputs import NO_CHOICES, Choices, Inputs, gathered
from suture.errors import OUTPUT_EXISTS, SOURCE_ESCAPES, Refusal
from suture.formats import written
from suture.formats.cmodule import with_headers
from suture.formats.recognise import MANIFEST, MODULES, Format, Input
from suture.host.files import (
    check_output,
    new_directory,
    read_bytes,
    temporary_directory,
    write_atomic,
)
from suture.kernel.release import Target
from suture.model import LivePatch

ARCHIVES = {".tar": "", ".xz": "xz", ".gz": "gz", ".tgz": "gz", ".txz": "xz"}
"""How the name of an output ends that is to be an archive -> tar's compression."""

SOURCES = "sources"


@dataclass(frozen=True, slots=True)
class Converted:
    """A written live patch.

    :ivar files: what is in it, sorted.
    :ivar patch: what was built to find out what it replaces; None where nothing was.
    """

    path: Path
    manifest: written.Manifest
    inputs: tuple[Input, ...]
    files: tuple[str, ...]
    patch: LivePatch | None = None


def convert(
    paths: Sequence[Path],
    output: Path,
    *,
    target: Target | None = None,
    name: str | None = None,
    replace: bool | None = None,
    format: Format | None = None,
    strip: int | None = None,
    choices: Choices = NO_CHOICES,
) -> Converted:
    """Write what `paths` hold as one live patch in the written form.

    :param output: a new directory, or an archive where its name ends like one (``.tar.xz``).
    :param target: the kernel for which to write down what is replaced; None to leave that to each
        build.
    :raises Refusal: ``output-exists``, those of `gathered`, and with a target those of `build`
    """
    _check(output)
    with gathered(
        paths, format=format, strip=strip, name=name, replace=replace, choices=choices
    ) as inputs:
        built = None if target is None else _built(paths, inputs, target, format, strip)
        decided = inputs.choices
        named = list(_placed(inputs.given))
        manifest = written.Manifest(
            written.VERSION,
            tuple(written.Source(one.format, place, one.strip) for one, place, _ in named),
            name=None if inputs.is_one_module and not inputs.is_named else inputs.name,
            description=inputs.description,
            replace=inputs.replace,
            patch_data=tuple(sorted(decided.patch_data)),
            keep_data=tuple(sorted(decided.keep_data)),
            replace_thread=tuple(sorted(decided.replace_threads)),
            caller_depth=decided.caller_depth,
            caller_limit=decided.caller_limit,
            object=inputs.expected if built is None else written.objects(built),
        )
        files = {path: content for _, _, contents in named for path, content in contents.items()}
    if _compression(output) is None:
        with new_directory(output) as directory:
            written.write(directory, manifest, files)
    else:
        write_atomic(
            output,
            _archive({MANIFEST: written.dumped(manifest), **files}, _compression(output) or ""),
        )
    return Converted(output, manifest, inputs.given, (MANIFEST, *sorted(files)), built)


def _built(
    paths: Sequence[Path], inputs: Inputs, target: Target, format: Format | None, strip: int | None
) -> LivePatch:
    with temporary_directory() as scratch:
        built = build(
            paths,
            target,
            output=scratch / f"{inputs.name}.ko",
            name=inputs.name if inputs.is_named else None,
            replace=inputs.replace,
            format=format,
            strip=strip,
            choices=inputs.choices,
        )
    return built.patch


def _check(output: Path) -> None:
    if output.exists():
        raise Refusal(OUTPUT_EXISTS, str(output), "is there already")
    check_output(output)


def _compression(output: Path) -> str | None:
    return ARCHIVES.get(output.suffix)


def _placed(given: Sequence[Input]) -> Iterator[tuple[Input, str, Mapping[str, bytes]]]:
    """Each input, where it goes, and its files by their paths there."""
    taken: set[str] = set()
    for one in given:
        place = f"{SOURCES}/{one.path.resolve().name}"
        number = 2
        while place in taken:
            place = f"{SOURCES}/{number}/{one.path.resolve().name}"
            number += 1
        taken.add(place)
        yield one, place, dict(_contents(one, place))


def _contents(one: Input, place: str) -> Iterator[tuple[str, bytes]]:
    if one.path.is_file() and one.format in MODULES:
        beside = place.rpartition("/")[0]
        yield from (
            (f"{beside}/{path}", content) for path, content in with_headers(one.path).items()
        )
        return
    if not one.path.is_dir():
        yield place, read_bytes(one.path)
        return
    for path in sorted(one.path.rglob("*")):
        if path.is_symlink():
            raise Refusal(SOURCE_ESCAPES, str(path), "is a symbolic link")
        if path.is_file():
            yield f"{place}/{path.relative_to(one.path)}", read_bytes(path)


def _archive(files: Mapping[str, bytes], compression: str) -> bytes:
    """A tar that depends on nothing but its contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as tar:  # type: ignore[call-overload]
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
