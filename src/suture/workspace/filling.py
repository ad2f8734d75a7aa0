# SPDX-License-Identifier: GPL-2.0-or-later
"""The source of a target, put into its workspace: copied, unpacked, or linked from a neighbour."""

from __future__ import annotations

from pathlib import Path

from suture.host.progress import step
from suture.kernel.release import Target
from suture.workspace import same_source, sharing, source


def fill(target: Target, tree: Path, other: Path | None = None) -> set[str]:
    """Put the source from which the target was built into a workspace, and return the files that
    are another tree's too.

    :param tree: an empty directory in that of the workspace.
    :param other: a tree with whose equal files this one may share the disk.
    :raises Refusal: ``source-damaged``, ``source-missing``, ``source-mismatch``, ``disk-full``,
        ``tool-missing``
    """
    shared: set[str] = set()
    if target.source.is_dir():
        with step("Copying the source", str(target.source)):
            source.copy(target.source, tree)
    else:
        shared = _unpack(target.source, tree, other)
        same_source.remember(target.source, tree, tree.parent)
    if target.patches:
        with step("Patching the source", f"{len(target.patches)} patches of the kernel's own"):
            source.apply_patches(target, tree)
        if other is not None:
            shared = sharing.same_files(shared, tree, other)
    source.check_version(target, tree)
    return shared


def _unpack(archive: Path, tree: Path, other: Path | None) -> set[str]:
    if other is not None and same_source.is_from(archive, other.parent):
        with step("Linking the source", other.parent.parent.name):
            linked = same_source.link_all(archive, tree, other.parent)
        if linked is not None:
            return linked
    if other is not None and archive.name.endswith(sharing.SHARED_FORMAT):
        with step("Unpacking the source", f"{archive.name}, sharing equal files"):
            return sharing.unpack(archive, tree, other)
    with step("Unpacking the source", archive.name):
        source.unpack(archive, tree)
    return set()
