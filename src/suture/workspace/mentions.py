# SPDX-License-Identifier: GPL-2.0-or-later
"""Of the objects that may include a changed header, those that mention what changes in it.

Finding out what an object is compiled from takes the preprocessor a third of a second, and nearly
all objects of a kernel include ``linux/mm.h``.  grep(1) finds the few files with a word in seconds.

1. Each changed header tells the names through which its change can reach an object
   (`suture.workspace.declared`).
2. Files with one of these words are searched for.  Where a header has it in a macro or in a static
   inline function, the name of that counts too, and is searched for.
3. What remains are C files, and headers that mention a name in another way.  The objects of the
   former, and those that may include the latter, are the candidates.

Where a name may be made of parts (``a##b``), or the change can reach an object in another way, all
objects are candidates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from pathlib import Path

from suture.errors import WORKSPACE_FAILED, Refusal
from suture.host.files import temporary_directory
from suture.host.run import run
from suture.workspace.applying import Changed
from suture.workspace.comments import is_doubtful
from suture.workspace.declared import HeaderChange, code_lines, header_change, leads_to
from suture.workspace.kbuild import clean_environment

MOST_NAMES = 64
"""With more names, hardly any object mentions none of them."""

SHORT = 3
"""So many letters are a word in some file, for certain."""

_NOT_READ = ("Documentation", "LICENSES", "arch", "samples")
_NOT_CODE = ("Kconfig*", "*.rst", "*.txt", "*.dts", "*.dtsi", ".*")
_NO_MATCH = 1  # grep(1): nothing found

Names = frozenset[bytes]


def files_mentioning(
    tree: Path, architecture: str, changes: Iterable[Changed]
) -> frozenset[str] | None:
    """Find the files through which the change of headers can reach an object: C files, and headers
    that mention it outside macros and static inline functions.

    :param architecture: as the kernel's makefiles call it; others are not searched.
    :param changes: the changed files that others include.
    :return: None where the change may reach any object.
    :raises Refusal: ``workspace-failed``
    """
    headers: dict[str, HeaderChange] = {}
    for change in changes:
        found = None if change.old is None else header_change(change.old, change.new)
        if found is None:
            return None
        headers[change.path] = found
    search = _TreeSearch.of(tree, architecture)
    new = Names().union(*(header.names for header in headers.values()))
    names, files = Names(), set[str]()
    while new:
        names |= new
        mentioning = search.files_with(new)
        if len(names) > MOST_NAMES or (mentioning and _may_be_put_together(search, new)):
            return None
        led_to = Names()
        # What the patch makes of a header is not in the tree.
        for path in {*mentioning, *headers}:
            further = _leads_to(tree, path, headers.get(path), new)
            if further is None:
                files.add(path)
            else:
                led_to |= further
        new = led_to - names
    # All objects are compiled with what those say: scripts/Makefile.lib.
    general = any(path.startswith("scripts/Makefile") or "/" not in path for path in files)
    return None if general else frozenset(files)


def _leads_to(
    tree: Path, path: str, change: HeaderChange | None, names: Names
) -> frozenset[bytes] | None:
    """Return the names that a file defines by others; None where it is to count itself."""
    if change is not None:
        return leads_to(change.common, names)
    if not path.endswith(".h"):
        return None
    text = (tree / path).read_bytes()
    return None if is_doubtful(text) else leads_to(code_lines(text), names)


def _may_be_put_together(search: _TreeSearch, names: Names) -> bool:
    """Whether macros may make one of some names of words that are in the tree.

    Example: ``PAGEFLAG(Dirty, dirty)`` (include/linux/page-flags.h) makes ``SetPageDirty`` of
    ``SetPage`` and ``Dirty``.  A name that stands nowhere as a whole is one that the patch brings:
    what the old code put together would have to be declared as something else.
    """
    known = names & search.words_of(names)
    pieces = Names().union(*map(_pieces, known))
    there = search.words_of(pieces - known)
    return any(_is_made_of(name, there) for name in known)


def _pieces(name: bytes) -> Names:
    """Return what a name may be put together of, without what is short."""
    borders = combinations(range(len(name) + 1), 2)
    return Names(name[start:end] for start, end in borders if end - start > SHORT)


def _is_made_of(name: bytes, words: Collection[bytes]) -> bool:
    """Whether a name is a row of two words, or of three of which one at most is short.

    Example of three: ``ewma_##name##_init`` (include/linux/average.h).
    """
    length = len(name)
    for first, second in combinations_with_replacement(range(1, length), 2):
        parts = [part for part in (name[:first], name[first:second], name[second:]) if part]
        short = [part for part in parts if len(part) <= SHORT]
        if (len(parts) == 2 or len(short) <= 1) and all(
            part in words for part in parts if part not in short
        ):
            return True
    return False


@dataclass(frozen=True, slots=True)
class _TreeSearch:
    """Searches a tree for words.

    :ivar places: the directories and files at its top that are searched.
    """

    tree: Path
    places: tuple[str, ...]

    @classmethod
    def of(cls, tree: Path, architecture: str) -> _TreeSearch:
        """Search a tree without other architectures."""
        top = sorted(entry.name for entry in tree.iterdir() if entry.name not in _NOT_READ)
        return cls(tree, (*(name for name in top if name[0] != "."), f"arch/{architecture}"))

    def files_with(self, words: Names) -> list[str]:
        """Return the files with one of some words."""
        return self._grep("--files-with-matches", words)

    def words_of(self, words: Names) -> Names:
        """Return those of some words that are in the tree."""
        found = self._grep("--only-matching", words, "--no-filename") if words else []
        return Names(word.encode() for word in found)

    def _grep(self, what: str, words: Names, *options: str) -> list[str]:
        with temporary_directory() as scratch:
            patterns = scratch / "words"
            patterns.write_bytes(b"".join(word + b"\n" for word in sorted(words)))
            without = [f"--exclude={pattern}" for pattern in _NOT_CODE]
            finished = run(
                [
                    *("grep", "-rIFw", what, *options, *without, f"--file={patterns}", "--"),
                    *self.places,
                ],
                cwd=self.tree,
                env=clean_environment(),
            )
        if finished.status > _NO_MATCH:
            raise Refusal(
                WORKSPACE_FAILED,
                str(self.tree),
                "cannot be searched",
                evidence=finished.stderr.splitlines()[-5:],
            )
        return finished.stdout.splitlines()
