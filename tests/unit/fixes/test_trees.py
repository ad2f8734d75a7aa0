# SPDX-License-Identifier: GPL-2.0-or-later
"""Two packed sources are compared without being unpacked to a disk; tarfile packs, as a witness."""

from __future__ import annotations

import io
import lzma
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.fixes.trees import FileVersions, differing

LONG = "drivers/" + "a_long_name_of_a_directory/" * 9 + "file.c"
"""More than a header has room for."""

OLD = {
    "Makefile": b"1",
    "mm/gup.c": b"old\n" * 400,
    LONG: b"old",
    "fs/gone.c": b"gone",
    "same.h": b"",
}
NEW = {
    "Makefile": b"1",
    "mm/gup.c": b"new\n" * 400,
    LONG: b"new",
    "fs/new.c": b"new",
    "same.h": b"",
}


def packed(
    path: Path, files: Mapping[str, bytes], form: int = tarfile.GNU_FORMAT, *, seed: int = 0
) -> Path:
    """As a source is packed; with a seed, in another order."""
    names = list(files)
    if seed:
        random.Random(seed).shuffle(names)
    with tarfile.open(path, f"w:{path.suffix[1:].replace('tar', '')}", format=form) as archive:  # type: ignore[call-overload]
        top = tarfile.TarInfo("linux-source-6.1")
        top.type = tarfile.DIRTYPE
        archive.addfile(top)
        link = tarfile.TarInfo("linux-source-6.1/link.c")
        link.type, link.linkname = tarfile.SYMTYPE, "mm/gup.c"
        archive.addfile(link)
        for name in names:
            entry = tarfile.TarInfo(f"linux-source-6.1/{name}")
            entry.size = len(files[name])
            archive.addfile(entry, io.BytesIO(files[name]))
    return path


def everything(path: str) -> bool:
    return True


@pytest.mark.parametrize("suffix", ["tar", "tar.xz", "tar.gz"])
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_files_that_differ_are_found(suffix: str, form: int, seed: int, tmp_path: Path) -> None:
    old = packed(tmp_path / f"old.{suffix}", OLD, form)
    new = packed(tmp_path / f"new.{suffix}", NEW, form, seed=seed)
    found = {one.path: one for one in differing(old, new, everything)}
    assert found == {
        "mm/gup.c": FileVersions("mm/gup.c", OLD["mm/gup.c"], NEW["mm/gup.c"]),
        LONG: FileVersions(LONG, b"old", b"new"),
        "fs/gone.c": FileVersions("fs/gone.c", b"gone", None),
        "fs/new.c": FileVersions("fs/new.c", None, b"new"),
    }


def test_what_is_not_wanted_is_left_out(tmp_path: Path) -> None:
    old, new = (packed(tmp_path / name, files) for name, files in (("o.tar", OLD), ("n.tar", NEW)))
    found = differing(old, new, lambda path: path.startswith("fs/"))
    assert sorted(one.path for one in found) == ["fs/gone.c", "fs/new.c"]


@pytest.mark.parametrize("suffix", ["tar", "tar.xz"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_source_is_refused(suffix: str, damage: str, tmp_path: Path) -> None:
    old, new = packed(tmp_path / f"o.{suffix}", OLD), packed(tmp_path / f"n.{suffix}", NEW)
    data = bytearray(new.read_bytes())
    if damage == "cut":
        del data[len(data) // 3 :]
    elif damage == "flipped":
        data[len(data) // 3 : len(data) // 3 + 200] = b"\xff" * 200
        if suffix == "tar":  # the checksum of a header, not of a file's content
            data[512 : 512 + 8] = b"\xff" * 8
    else:
        data.clear()
    new.write_bytes(data)
    with pytest.raises(Refusal) as caught:
        list(differing(old, new, everything))
    assert caught.value.code == "source-damaged"
    assert caught.value.where == str(new)


def test_programs_end_with_the_comparison(tmp_path: Path) -> None:
    """Nobody waits for a program that nobody reads from."""
    large = {f"{number}.c": random.Random(number).randbytes(1 << 18) for number in range(8)}
    old = packed(tmp_path / "o.tar.xz", large)
    new = packed(tmp_path / "n.tar.xz", large | {"0.c": b"other"})
    found = differing(old, new, everything)
    assert next(found).path == "0.c"
    found.close()  # type: ignore[attr-defined]


def test_the_standard_library_reads_what_the_test_packs(tmp_path: Path) -> None:
    path = packed(tmp_path / "o.tar.xz", OLD)
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(path.read_bytes()))) as archive:
        names = [entry.name.partition("/")[2] for entry in archive if entry.isreg()]
    assert names == list(OLD)
