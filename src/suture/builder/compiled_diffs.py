# SPDX-License-Identifier: GPL-2.0-or-later
"""Source diffs -> pairs of objects, and what their types show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suture.builder.types import LayoutCheck
from suture.diff.omitted import LeftOut
from suture.errors import HEADER_REACHES_MANY, Acceptance, Finding, Refusal
from suture.formats.diff import PatchSource
from suture.verify.kernel import Kernel
from suture.workspace import compilers
from suture.workspace.compile import ObjectPair, Touched, object_pairs, touched_by
from suture.workspace.prepare import Workspace


@dataclass(frozen=True, slots=True)
class CompiledDiffs:
    """Source diffs, compiled.

    :ivar pairs: the objects before and after the patch, sorted by source.
    :ivar touched: the files that the diffs change.
    :ivar findings: what the types of both sides show.
    """

    pairs: Sequence[ObjectPair]
    touched: Touched
    findings: tuple[Finding, ...]

    @property
    def files_left_out(self) -> tuple[LeftOut, ...]:
        """The files of the diffs that nothing is compiled from."""
        return tuple(LeftOut(one.path, "all of it", one.why) for one in self.touched.left_out)


def compile_diffs(
    source: PatchSource,
    workspace: Workspace,
    kernel: Kernel,
    accepted: Sequence[Acceptance],
    most_users: int | None = None,
) -> CompiledDiffs:
    """Compile source diffs on both sides; a layout that changes is refused as early as it shows.

    :param accepted: findings that the author accepts.
    :param most_users: objects that a changed header may reach; None for any number.
    :raises Refusal: as `suture.workspace.compile.touched_by` and `object_pairs`, and
        ``layout-changed``, ``header-reaches-many``
    """
    touched = touched_by(workspace, source)
    users = len(touched.selection.users)
    if most_users is not None and users > most_users:
        headers = [one.path for one in touched.changes if not one.path.endswith(".c")]
        found = f"what changes may reach {users} objects, and {most_users} are the limit"
        raise Refusal(HEADER_REACHES_MANY, ", ".join(headers), found)
    check = LayoutCheck(workspace, kernel, touched, accepted)
    check.first()
    pairs = object_pairs(workspace, touched)
    check.all_of(pairs)
    return CompiledDiffs(pairs, touched, (*compilers.findings(workspace.compiler), *check.findings))
