# SPDX-License-Identifier: GPL-2.0-or-later
"""The written form of gathered inputs: its manifest, its files, and one archive of both."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence

from suture.builder.inputs import Inputs
from suture.errors import SOURCE_ESCAPES, Refusal
from suture.formats import suse, written
from suture.formats.cmodule import with_headers
from suture.formats.recognise import MANIFEST, MODULES, Format, Input
from suture.host.files import paths_below, read_bytes
from suture.host.pipes import plain_name

SOURCES = "sources"


def manifest_and_files(
    inputs: Inputs, name: str | None, expected: Sequence[written.Object]
) -> tuple[written.Manifest, dict[str, bytes]]:
    """Return the manifest, and the contents of its sources by their paths, unchanged.

    :param name: the module's name; None for the one that a single C module chooses.
    :param expected: what the live patch has to replace.
    :raises Refusal: ``source-escapes``, ``file-unreadable``
    """
    decided = inputs.choices
    named = list(_placed(inputs.given))
    manifest = written.Manifest(
        written.VERSION,
        tuple(written.Source(given.format, place, given.strip) for given, place, _ in named),
        name=name,
        description=decided.said.title,
        cve=decided.said.cves,
        url=decided.said.links,
        replace=inputs.replace,
        patch_data=tuple(sorted(decided.patch_data)),
        keep_data=tuple(sorted(decided.keep_data)),
        replace_thread=tuple(sorted(decided.replace_threads)),
        caller_depth=decided.caller_depth,
        caller_limit=decided.caller_limit,
        accept=tuple(written.Accepted(one.subject, one.because) for one in decided.accepted),
        object=tuple(expected),
    )
    files: dict[str, bytes] = {}
    for _, _, contents in named:
        files |= contents
    return manifest, files


def carried_archive(inputs: Inputs) -> bytes:
    """Return what a module carries of its inputs, to be built again for another kernel.

    What it replaces is not recorded, even where a written form has it: another kernel's compiler
    may inline otherwise, and the module is the same with and without a written form.  Modules for
    kpatch's own core are machine code of one kernel, and are not carried.

    :raises Refusal: ``file-unreadable``
    """
    if inputs.of_formats(frozenset({Format.KPATCH_OBJECT})):
        return b""
    try:
        manifest, files = manifest_and_files(inputs, inputs.name, ())
    except Refusal as refusal:
        if refusal.kind is not SOURCE_ESCAPES:
            raise
        return b""  # a directory with links is built, and not carried
    return archive({MANIFEST: written.dumped(manifest), **files}, "xz")


def archive(files: Mapping[str, bytes], compression: str) -> bytes:
    """Make a tar archive; its bytes depend on the contents alone (no times, owners or modes)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as tar:  # type: ignore[call-overload]
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _placed(given: Sequence[Input]) -> Iterator[tuple[Input, str, Mapping[str, bytes]]]:
    """Yield each input with its place in the output, and its files by their paths there."""
    used: set[str] = set()
    for one in given:
        name = plain_name(one.path)
        place = f"{SOURCES}/{name}"
        number = 2
        while place in used:
            place = f"{SOURCES}/{number}/{name}"
            number += 1
        used.add(place)
        yield one, place, dict(_contents(one, place))


def _contents(given: Input, place: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an input: path in the output, contents."""
    if not given.path.is_dir() and given.format in MODULES:
        directory = place.rpartition("/")[0]
        for name, content in with_headers(given.path).items():
            yield f"{directory}/{name}", content
        return
    if not given.path.is_dir():
        yield place, read_bytes(given.path)
        return
    for path in paths_below(given.path):
        if path.is_symlink():
            raise Refusal(SOURCE_ESCAPES, str(path), "is a symbolic link")
        below = path.relative_to(given.path).as_posix()
        if path.is_file() and not suse.is_left_out(below, given.only):
            yield f"{place}/{below}", read_bytes(path)
