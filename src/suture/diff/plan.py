# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan of a live patch for one source file.

`suture.diff.changes.Changes` says what differs, and is never rewritten.  At first the plan replaces
each changed function; a function that ftrace cannot redirect is carried instead, and its callers
are replaced (`suture.verify.callers`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from suture.diff.changes import Changes, Pair
from suture.objects.view import Unit


@dataclass(frozen=True, slots=True)
class FilePlan:
    """The functions and variables of one source file that go into the live patch.

    :ivar changes: what differs between the original and the patched object.
    :ivar replaced: functions that the core redirects to new code.
    :ivar carried: changed functions that the core cannot redirect; every function that calls one is
        replaced or carried too.
    :ivar provided: new global functions and variables, patched side: other files may use them.
    :ivar published: units that were static and are global now, and that stay in the kernel.
    """

    changes: Changes
    replaced: tuple[Pair, ...]
    carried: tuple[Pair, ...] = ()
    provided: tuple[Unit, ...] = ()
    published: tuple[Pair, ...] = ()

    @classmethod
    def of(cls, changes: Changes) -> FilePlan:
        """Plan to replace each changed function."""
        return cls(changes, changes.changed, (), changes.provided, changes.published)

    @property
    def needs_code(self) -> bool:
        """Whether the live patch needs code of this file, or data that code of other files uses."""
        return bool(self.replaced or self.provided or self.carried or self.changes.hooks.calls)

    def replacing(self, before: Unit, after: Unit) -> FilePlan:
        """Return the plan with one more replaced function."""
        return replace(self, replaced=(*self.replaced, (before, after)))

    def carrying(self, before: Unit, after: Unit) -> FilePlan:
        """Return the plan with a function carried instead of replaced.

        Other files of the live patch call the new code of a global function directly, as they would
        call a function that the patch adds.
        """
        return replace(
            self,
            replaced=tuple(pair for pair in self.replaced if pair[0] != before),
            carried=(*self.carried, (before, after)),
            provided=self.provided if after.is_local else (*self.provided, after),
            published=tuple(pair for pair in self.published if pair[0] != before),
        )
