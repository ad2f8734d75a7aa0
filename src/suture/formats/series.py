# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory with the patches of a series, in the order in which they apply.

Their order stands in a file named ``series``, as quilt(1) keeps it, or in the numbers at the
beginning of their names, as ``git format-patch`` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.errors import SERIES_INVALID, SERIES_WITHOUT_ORDER, SOURCE_ESCAPES, Refusal
from suture.host.files import paths_below, read_bytes
from suture.host.progress import note

SERIES = "series"
SUFFIXES = (".patch", ".diff")

_LINE = re.compile(r"(?P<name>[^\s#]\S*)(?:\s+-p(?P<strip>[01]))?\s*(?:#.*)?")
_NUMBER = re.compile(r"\d+")
_HUNK = re.compile(rb"^@@ -\d", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SeriesPatch:
    """A patch of a series.

    :ivar strip: the number of leading path components to strip; None to detect it.
    """

    path: Path
    strip: int | None = None


def is_series(directory: Path) -> bool:
    """Tell whether a directory holds a series: it has a series file, or patches and no C."""
    if (directory / SERIES).is_file():
        return True
    return bool(_patches(directory)) and not any(
        path.suffix in (".c", ".h") for path in paths_below(directory)
    )


def patches(directory: Path) -> tuple[SeriesPatch, ...]:
    """Return the patches of a series in order.

    :raises Refusal: ``series-without-order``, ``series-invalid``, ``source-escapes``,
        ``file-unreadable``
    """
    listing = directory / SERIES
    found = tuple(_listed(listing) if listing.is_file() else _numbered(directory))
    if not found:
        raise Refusal(SERIES_INVALID, str(listing), "names no patch")
    return found


def _listed(listing: Path) -> Iterator[SeriesPatch]:
    """Yield the patches that a series file names."""
    top = listing.parent.resolve()
    for number, line in enumerate(read_bytes(listing).decode(errors="replace").splitlines(), 1):
        where, text = f"{listing}:{number}", line.strip()
        if not text or text.startswith("#"):
            continue
        read = _LINE.fullmatch(text)
        if read is None:
            raise Refusal(SERIES_INVALID, where, f"'{text}' is not a patch with -p0 or -p1")
        path = listing.parent / read["name"]
        if not path.resolve().is_relative_to(top):
            raise Refusal(SOURCE_ESCAPES, where, f"{read['name']} is outside the directory")
        if not path.is_file():
            raise Refusal(SERIES_INVALID, where, f"there is no file {read['name']}")
        yield SeriesPatch(path, int(read["strip"]) if read["strip"] else None)


def _numbered(directory: Path) -> Iterator[SeriesPatch]:
    """Yield the patches of a directory by their numbers; a cover letter is passed over."""
    found = _patches(directory)
    numbers = {path: read for path in found if (read := _NUMBER.match(path.name))}
    unnumbered = [path.name for path in found if path not in numbers]
    if len(found) > 1 and unnumbered:
        said = f"holds {len(found)} patches, and {_some(unnumbered)} without a number"
        raise Refusal(SERIES_WITHOUT_ORDER, str(directory), said)
    order = {path: int(read[0]) for path, read in numbers.items()}
    same = [path.name for path in found if list(order.values()).count(order.get(path, 0)) > 1]
    if same:
        said = f"{_some(same)} with the same number"
        raise Refusal(SERIES_WITHOUT_ORDER, str(directory), said)
    for path in sorted(found, key=lambda one: order.get(one, 0)):
        if order.get(path) == 0 and not _HUNK.search(read_bytes(path)):
            note(f"{path} is left out: it is a cover letter")
            continue
        yield SeriesPatch(path)


def _patches(directory: Path) -> list[Path]:
    return sorted(
        path for path in directory.iterdir() if path.suffix in SUFFIXES and path.is_file()
    )


def _some(names: Sequence[str]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{', '.join(names[:4])} are"
