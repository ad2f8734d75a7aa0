# SPDX-License-Identifier: GPL-2.0-or-later
"""Tars that are read from a stream; the standard library packs and reads them, as a witness."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

import pytest

from suture.host import tar
from suture.host.tar import TarDamaged, TarMember

DEEP = "linux/" + "a_long_name_of_a_directory/" * 9 + "file.c"
PREFIXED = "linux/" + "d" * 60 + "/" + "e" * 60 + "/file.c"
"""In a ustar header, whose name has two parts."""

FILES = {"linux/Makefile": b"VERSION = 6\n", PREFIXED: b"", "linux/mm/gup.c": b"x" * 512}
FORMS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)


def packed(form: int, files: Mapping[str, bytes] = FILES, *, link: str = "mm/gup.c") -> bytes:
    """A tar with a directory, files and a symbolic link."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as archive:
        top = tarfile.TarInfo("linux")
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(top)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), 1_700_000_000, 0o640
            archive.addfile(entry, io.BytesIO(content))
        entry = tarfile.TarInfo("linux/link")
        entry.type, entry.linkname = tarfile.SYMTYPE, link
        archive.addfile(entry)
    return written.getvalue()


def read(data: bytes) -> list[TarMember]:
    return list(tar.members(io.BytesIO(data)))


def by_the_library(data: bytes) -> list[TarMember]:
    found = []
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            content = b"" if file is None else file.read()
            time = int(entry.mtime)
            found.append(
                TarMember(entry.name, entry.type, entry.mode, time, entry.linkname, content)
            )
    return found


@pytest.mark.parametrize("form", FORMS)
def test_members_are_those_that_the_standard_library_reads(form: int) -> None:
    data = packed(form)
    assert read(data) == by_the_library(data)
    assert [one.path for one in read(data)] == ["linux", *FILES, "linux/link"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_names_that_are_no_text_are_read(form: int) -> None:
    files = {DEEP: b"deep", "linux/\udcff.c": b"", "linux/\N{LATIN SMALL LETTER E WITH ACUTE}": b""}
    data = packed(form, files, link="x/" * 100)
    assert read(data) == by_the_library(data)
    assert {DEEP, *files} <= {one.path for one in read(data)}


def test_a_header_for_all_members_is_passed_over() -> None:
    """git-archive(1) begins with the commit, as a comment."""
    written = io.BytesIO()
    headers = {"comment": "0" * 40}
    with tarfile.open(fileobj=written, mode="w", pax_headers=headers) as archive:
        archive.addfile(tarfile.TarInfo("linux/empty"))
    assert [one.path for one in read(written.getvalue())] == ["linux/empty"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("end", [0, 300, 512, 1100, 2000])
def test_what_ends_in_the_middle_is_damaged(form: int, end: int) -> None:
    with pytest.raises(TarDamaged):
        read(packed(form)[:end])


def test_every_byte_of_a_header_counts() -> None:
    data = packed(tarfile.GNU_FORMAT)
    for position in range(512, 1024):
        damaged = bytearray(data)
        damaged[position] ^= 0x40
        with pytest.raises(TarDamaged):
            read(bytes(damaged))


@pytest.mark.parametrize("headers", [{"size": "3"}, {"GNU.sparse.major": "1"}])
def test_a_size_outside_its_place_is_not_guessed(headers: dict[str, str]) -> None:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("linux/x")
        entry.pax_headers = headers
        archive.addfile(entry)
    with pytest.raises(TarDamaged):
        read(written.getvalue())
