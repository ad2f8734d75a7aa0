# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings: what the new code would meet in a running kernel, or what only the author can judge.

A finding of level `Level.REFUSE` stops the build, unless the author accepts it by name and says
why.  The others are shown, and never stop a build.  All findings of a live patch are kept in its
module.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from suture.errors.refusal import Kind, Refusal


class Level(StrEnum):
    """How grave a finding is.

    :cvar REFUSE: a live patch that would do harm is not built.
    :cvar WARN: there is danger in some cases, which the finding names.
    :cvar NOTE: a question for the author.
    """

    REFUSE = "refuse"
    WARN = "warn"
    NOTE = "note"


MARKS = {Level.REFUSE: "error", Level.WARN: "warning", Level.NOTE: "note"}
"""The words that findings begin with, as those of a compiler do."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An author's decision to build in spite of a finding.

    :ivar name: the type, variable or function that the finding names.
    :ivar because: the reason, for reviewers and administrators.
    """

    code: str
    name: str
    because: str

    @property
    def subject(self) -> str:
        """The finding, as ``--accept`` takes it: ``layout-changed:eventfd_ctx``."""
        return f"{self.code}:{self.name}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One danger or question, with its evidence.

    :ivar name: the type, variable or function by which the author accepts it.
    :ivar where: the source file and, where known, the line.
    :ivar evidence: further lines: members and offsets, functions that touch them.
    :ivar remedy: replaces the kind's way out, and `why` its reason.
    :ivar because: why the author accepts it; "" if it is not accepted.
    """

    kind: Kind
    name: str
    where: str
    found: str
    evidence: tuple[str, ...] = ()
    remedy: str | None = None
    level: Level = Level.REFUSE
    because: str = ""
    why: str | None = None

    @property
    def subject(self) -> str:
        """The finding, as ``--accept`` takes it."""
        return f"{self.kind.code}:{self.name}"

    @property
    def is_refused(self) -> bool:
        """Whether it stops the build."""
        return self.level is Level.REFUSE and not self.because

    def accepted(self, because: str) -> Finding:
        """Return the finding with the author's reason to accept it."""
        return replace(self, because=because)

    @property
    def reason(self) -> str:
        """Why it is a danger or a question."""
        return self.kind.why if self.why is None else self.why

    @property
    def way_out(self) -> str:
        """What the author can do about it."""
        return self.kind.remedy if self.remedy is None else self.remedy

    def refusal(self) -> Refusal:
        """Return the refusal of a build that meets this finding."""
        accept = f"If you know that this is safe, say so: --accept {self.subject} --because REASON"
        return Refusal(
            self.kind,
            self.where,
            self.found,
            why=self.reason,
            remedy="\n".join([*filter(None, [self.way_out]), accept]),
            evidence=self.evidence,
        )

    def as_dict(self) -> dict[str, object]:
        """Return the finding for ``--json``."""
        return {
            "level": self.level.value,
            "code": self.kind.code,
            "name": self.name,
            "where": self.where,
            "found": self.found,
            "evidence": list(self.evidence),
            "because": self.because,
        }

    def __str__(self) -> str:
        """Return one line, as notes and reports show it."""
        ending = f" (accepted: {self.because})" if self.because else ""
        mark = MARKS[self.level]
        return f"{mark}[{self.kind.code}]: {self.where}: {self.found}{ending}"
