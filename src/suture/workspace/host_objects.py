# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects of objtool, made in two trees: are they the same although the trees' headers differ?

The compiler proper sees the preprocessed text alone.  Where that is the same in both trees, with
the same options, the object is, but for the places in its debugging information.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from suture.host.run import run
from suture.workspace.kbuild import clean_environment

DIRECTORIES = ("tools/objtool", "tools/lib/subcmd")
"""Where the compiler is started; a note has the source from there."""

_COMMAND = re.compile(r"(?:saved)?cmd_\S+ := *((?:gcc|cc) .*) -c -o \S+ (\S+\.c)\n")
_HASH = "$(pound)"
"""scripts/Kbuild.include: a ``#`` in a note."""

_WRITES_DEPENDENCIES = "-Wp,-M"
_MARKER = re.compile(r"^# \d.*\n", re.MULTILINE)
"""A line that says where the next one is from; ``#pragma`` stays."""


def come_out_alike(note: str, root: str, trees: tuple[Path, Path]) -> bool:
    """Tell whether an object's source is the same text in both trees when it is preprocessed.

    :param note: the text of the object's ``.cmd`` file.
    :param root: the path that the tree had when the note was written.
    """
    command = _COMMAND.match(note)
    if command is None:
        return False
    first, second = (_preprocessed(command[1], command[2], root, tree) for tree in trees)
    return first is not None and first == second


def _preprocessed(command: str, source: str, root: str, tree: Path) -> str | None:
    """Return the text, without its line markers; None in doubt."""
    command = command.replace(_HASH, "#").replace(root, str(tree))
    places = [tree / name for name in DIRECTORIES if (tree / name / source).is_file()]
    if "$" in command or len(places) != 1:
        return None
    words = [word for word in shlex.split(command) if not word.startswith(_WRITES_DEPENDENCIES)]
    finished = run([*words, "-E", source], cwd=places[0], env=clean_environment())
    if finished.status != 0:
        return None
    return _MARKER.sub("", finished.stdout).replace(str(tree), "")
