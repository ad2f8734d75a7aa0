# SPDX-License-Identifier: GPL-2.0-or-later
"""What an author gives as inputs -> files.

An input is a file, a directory, ``-`` for standard input, or the web address of a patch.  A
directory with the patches of a series stands for its patches (`suture.formats.series`).  With a git
repository, the first input is a commit or a range of commits instead, and the others are paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from suture.formats import messages, series
from suture.formats.addresses import fetched, file_name, is_address
from suture.formats.commits import SHOWN, commits
from suture.formats.recognise import MANIFEST
from suture.host.files import temporary_directory
from suture.host.pipes import STANDARD_INPUT, standard_input

STANDARD = "-"


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file or a directory that is an input.

    :ivar name: its name in messages, if `path` is temporary; else empty.
    :ivar strip: as `suture.formats.series.SeriesPatch.strip`.
    """

    path: Path
    name: str = ""
    strip: int | None = None


@contextmanager
def brought(given: Sequence[Path | str], git: Path | None = None) -> Iterator[list[GivenFile]]:
    """Fetch what is not there as a file; it is removed when the block ends.

    :param git: a repository.
    :raises Refusal: ``file-unreadable``, ``address-unreachable``, ``not-a-patch``,
        ``series-without-order``, ``series-invalid``, ``source-escapes``, ``commit-unknown``,
        ``commit-is-a-merge``, ``tool-missing``
    """
    with temporary_directory() as scratch:
        if git is not None:
            yield list(_of_commits(git, [str(one) for one in given], scratch))
            return
        files: list[GivenFile] = []
        for number, one in enumerate(given):
            place = scratch / str(number)
            files += _of_one(one, place)
        yield files


def directory_of_modules(given: Sequence[Path | str]) -> Path | None:
    """Return the only input, if it is a directory that may hold authors' modules."""
    if len(given) != 1 or is_address(str(given[0])):
        return None
    path = Path(given[0])
    return path if path.is_dir() and not _is_series(path) else None


def _of_one(one: Path | str, place: Path) -> Iterator[GivenFile]:
    """Yield the files of an input.

    :param place: a directory to make, for what is fetched.
    """
    text = str(one)
    if text == STANDARD:
        yield _written(place, "standard-input", standard_input(), STANDARD_INPUT)
    elif is_address(text):
        yield _written(place, file_name(text), fetched(text), text)
    elif _is_series(Path(one)):
        for patch in series.patches(Path(one)):
            yield GivenFile(patch.path, strip=patch.strip)
    else:
        yield GivenFile(Path(one))


def _is_series(path: Path) -> bool:
    return path.is_dir() and not (path / MANIFEST).is_file() and series.is_series(path)


def _of_commits(git: Path, words: Sequence[str], scratch: Path) -> Iterator[GivenFile]:
    revision, *paths = words
    for number, commit in enumerate(commits(git, revision, paths), 1):
        name = f"{number:04}-{commit.id[:SHOWN]}.patch"
        (fix,) = messages.fixes(commit.mail.decode(errors="replace")) or (None,)
        title = f" ({fix.title})" if fix is not None else ""
        yield _written(scratch, name, commit.mail, f"commit {commit.id[:SHOWN]}{title}")


def _written(directory: Path, name: str, data: bytes, shown: str) -> GivenFile:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_bytes(data)
    return GivenFile(path, shown)
