# SPDX-License-Identifier: GPL-2.0-or-later
"""A patched object compiled again, with static branches that read their keys.

A static branch is a jump that the kernel writes and removes (``include/linux/jump_label.h``).  In a
live patch the kernel can do that only for keys that exist when the live patch is loaded; a module
with a key may be loaded later, or never.  So the branch's assembly text is replaced by code that
reads ``static_key.enabled`` each time.  Operands, labels and the number of lines, from which GCC
estimates the size, stay the same, so that the compiler makes the same of all other code
(`suture.diff.static_branches` checks that it did).
"""

from __future__ import annotations

from suture.workspace.applying import Changed
from suture.workspace.compile import ObjectPair
from suture.workspace.patched import patched_objects
from suture.workspace.prepare import Workspace
from suture.workspace.store import Stored


def patched_object_reading_keys(workspace: Workspace, pair: ObjectPair) -> bytes:
    """Return the patched object of `pair`, an ELF relocatable file, without ``__jump_table``.

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
