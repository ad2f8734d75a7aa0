# SPDX-License-Identifier: GPL-2.0-or-later
"""What a changed file is built into: the kernel itself, or modules."""

from __future__ import annotations

from functools import cached_property

from suture.model import VMLINUX
from suture.workspace import objects
from suture.workspace.includes import IncludeGraph, is_makefile
from suture.workspace.prepare import Workspace


class ObjnameLookup:
    """What the files of a workspace's tree are built into."""

    def __init__(self, workspace: Workspace) -> None:
        """List the objects that the kernel is built from, if nobody has.

        :raises Refusal: ``workspace-failed``
        """
        self._workspace = workspace
        self._objects = objects.everything(workspace)

    def of(self, path: str) -> frozenset[str]:
        """Return the objnames that a file is built into, or may be included by; empty where this
        kernel is not built from it.

        For a header of the core kernel it is `VMLINUX` alone: nobody runs a kernel without that.
        """
        if own := self._own(path):
            return own
        found: frozenset[str] = frozenset()
        for user in self._graph.users([path]):
            if not is_makefile(user):
                found |= self._own(user)
            if VMLINUX in found:
                return frozenset((VMLINUX,))
        return found

    def _own(self, path: str) -> frozenset[str]:
        """Return what the object of a source file is part of."""
        if path.endswith(".h"):
            return frozenset()
        one = path.rpartition(".")[0] + ".o"
        if one not in self._objects.listed:
            return frozenset()
        return frozenset(self._objects.modules.get(one, ())) or frozenset((VMLINUX,))

    @cached_property
    def _graph(self) -> IncludeGraph:
        return IncludeGraph(self._workspace.tree, self._workspace.include_lines())
