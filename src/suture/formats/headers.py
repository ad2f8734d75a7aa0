# SPDX-License-Identifier: GPL-2.0-or-later
"""The headers of kpatch and Ksplice that patches include: Suture's own, written from their
documentation (`include/`).

They are added to the kernel's headers in the tree of the patched side, and only if a patch includes
one, so that nothing else depends on them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import resources

from suture.errors import PATCH_HEADER_UNKNOWN, Refusal

DIRECTORY = "include"
"""In the kernel's tree; the compiler looks there for ``#include "kpatch-macros.h"``."""

_INCLUDE = re.compile(
    rb'^[ \t]*#[ \t]*include[ \t]*["<](?:linux/)?((?:kpatch|ksplice)[^">/\n]*)[">]'
)


@cache
def ours() -> Mapping[str, bytes]:
    """Return Suture's headers: file name -> text."""
    directory = resources.files("suture.formats").joinpath("include")
    return {
        entry.name: entry.read_bytes() for entry in directory.iterdir() if entry.name.endswith(".h")
    }


def included(text: bytes) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) of each line that includes a header of kpatch or Ksplice, and the
    header's name."""
    for number, line in enumerate(text.split(b"\n"), 1):
        match = _INCLUDE.match(line)
        if match:
            yield number, match[1].decode(errors="replace")


def wanted(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the headers to add to the tree, by their paths in it: all of Suture's if the patch
    includes any, else none.

    :param contents: the patched files, by path; a header among them is the patch's own.
    :raises Refusal: ``patch-header-unknown``
    """
    found = False
    own = {path.rpartition("/")[2] for path in contents}
    for path, text in contents.items():
        for line, name in included(text):
            if name in own:
                continue
            if name not in ours():
                near = get_close_matches(name, ours(), 1, 0) or sorted(ours())
                names = sorted(name for name in ours() if not name.startswith("suture"))
                there = f"nearest of {', '.join(names)}: {near[0]}"
                raise Refusal(
                    PATCH_HEADER_UNKNOWN, f"{path}:{line}", f"includes {name}", evidence=[there]
                )
            found = True
    return {f"{DIRECTORY}/{name}": text for name, text in ours().items()} if found else {}
