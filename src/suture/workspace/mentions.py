# SPDX-License-Identifier: GPL-2.0-or-later
"""Of the objects that may include a changed header, those that mention what changes in it.

Finding out what an object is compiled from takes the preprocessor a third of a second, and nearly
all objects of a kernel include ``linux/mm.h``.  The index of the tree's words
(`suture.workspace.words`) has the few files with a word in a moment.

1. Each changed header tells the names through which its change can reach an object
   (`suture.workspace.declared`).
2. Files with one of these words are looked up.  Where a header has it in a macro or in a static
   inline function, the name of that counts too, and is looked up.  A C file
   that has it in comments alone does not count.
3. What remains are C files, and headers that mention a name in another way.  The objects of the
   former, and those that may include the latter, are the candidates.

Where a name may be made of parts (``a##b``), or the change can reach an object in another way, all
objects are candidates.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import combinations, combinations_with_replacement

from suture.workspace.applying import Changed
from suture.workspace.comments import is_doubtful, without_comments
from suture.workspace.declared import HeaderChange, code_lines, header_change, leads_to
from suture.workspace.words import Names, WordIndex, words_of

MOST_NAMES = 64
"""With more names, hardly any object mentions none of them."""

SHORT = 3
"""So many letters are a word in some file, for certain."""

_OF_ALL = re.compile(r"[^/]*|scripts/Makefile[^/]*|arch/[^/]+/(?:Makefile|Kbuild)[^/]*")
"""Makefiles that say how all objects are compiled: the top one, ``scripts/Makefile.lib``,
``arch/x86/Makefile``."""


def header_changes(changes: Iterable[Changed]) -> Mapping[str, HeaderChange | None]:
    """Return what the changes of files that others include come to, by their paths; None where a
    change may reach an object in any way."""
    return {
        one.path: None if one.old is None else header_change(one.old, one.new) for one in changes
    }


def files_mentioning(
    tree: WordIndex, changed: str, changes: Mapping[str, HeaderChange | None]
) -> frozenset[str] | None:
    """Find the files through which the change of a header can reach an object: C files, and headers
    that mention it outside macros and static inline functions.

    :param changed: the path of a changed file that others include.
    :param changes: of all such files, `changed` among them.
    :return: None where the change may reach any object that includes the file.
    """
    headers = {path: change for path, change in changes.items() if change is not None}
    if changed not in headers:
        return None
    new = headers[changed].names
    names, files = Names(), set[str]()
    while new:
        names |= new
        mentioning = {path for name in new for path in tree.files_with(name)}
        if len(names) > MOST_NAMES or _may_be_put_together(tree, new):
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
    return None if any(map(_OF_ALL.fullmatch, files)) else frozenset(files)


def _leads_to(
    tree: WordIndex, path: str, change: HeaderChange | None, names: Names
) -> Names | None:
    """Return the names that a file defines by others; None where it is to count itself."""
    if change is not None:
        return leads_to(change.common, names)
    if not path.endswith((".c", ".h")):
        return None
    text = tree.read(path)
    if is_doubtful(text):
        return None
    if path.endswith(".h"):
        return leads_to(code_lines(text), names)
    return Names() if names.isdisjoint(words_of(without_comments(text))) else None


def _may_be_put_together(tree: WordIndex, names: Names) -> bool:
    """Whether macros may make one of some names of words that are in the tree.

    Example: ``PAGEFLAG(Dirty, dirty)`` (include/linux/page-flags.h) makes ``SetPageDirty`` of
    ``SetPage`` and ``Dirty``.  A name that stands nowhere as a whole is one that the patch brings:
    what the old code put together would have to be declared as something else.
    """
    return any(_is_made_of(name, tree.known(_pieces(name) - {name})) for name in tree.known(names))


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
