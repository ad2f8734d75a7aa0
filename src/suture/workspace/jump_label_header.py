# SPDX-License-Identifier: GPL-2.0-or-later
"""A patched object once more, with static branches that read their key.

A static branch is a jump that the kernel writes and takes away (``include/linux/jump_label.h``).
For code in a live patch it can do that with keys that are there when the live patch is loaded; a
key of a module may come later, or never. So the assembly text of the branch is exchanged for one
that looks at ``static_key.enabled`` each time.  Operands, labels and the number of lines, by which
GCC guesses the size, stay, so that the compiler makes the same of everything else
(`suture.diff.static_branches` checks that it did).
"""

from __future__ import annotations

from suture.workspace.compile import ObjectPair
from suture.workspace.overlay import Changed
from suture.workspace.patched import patched_objects
from suture.workspace.prepare import Workspace
from suture.workspace.store import Stored


def patched_object_reading_keys(workspace: Workspace, pair: ObjectPair) -> bytes:
    """The patched object of `pair`, an ELF relocatable file, without ``__jump_table``.

    :raises Refusal: ``patch-does-not-compile``, ``disk-full``
    """
    patched = {change.path: change.new for change in pair.changes}
    labels = workspace.target.arch.jump_labels
    header = patched.get(labels.header) or (workspace.tree / labels.header).read_bytes()
    others = [change for change in pair.changes if change.path != labels.header]
    # As an added file: its lines have no say in what the compiler makes.
    everything = [*others, Changed(labels.header, None, labels.reading_keys(header))]
    original = Stored(pair.compilation, pair.original)
    return patched_objects(workspace, [original], everything)[pair.compilation.object].content
