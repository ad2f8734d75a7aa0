# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way Suture refuses: a stable code, what was found and where, why, and the way out.

A `Kind` is one reason to refuse; the modules beside this one hold all there are, one for each room
that raises them. Code raises ``Refusal(KIND, where, found)``; the kind brings the reason and the
remedy, which a caller replaces where it knows better.  `str()` of a refusal is the form that the
command line prints::

    error[init-function-changed]: fs/proc/meminfo.c: proc_meminfo_init() is in .init.text
      It ran once at boot and its memory is gone; no live patch can reach it.
      If the change also needs new state, set it up in a pre-patch callback.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One reason to refuse.  `code` never changes once released; scripts match on it."""

    code: str
    why: str
    remedy: str


class Refusal(Exception):
    """Suture cannot do what was asked, and says why.

    :param kind: which reason; `kind.code` is the stable part.
    :param where: the file, function, package or command that it was found in.
    :param found: what was found there, one line.
    :param why: replaces the kind's reason.
    :param remedy: replaces the kind's way out.
    :param evidence: further lines to show (a compiler's message, two instructions side by side).
    :param kernel: the release of the target that it is about; "" for none.  It may become known
        only on the way out, to `suture.kernel.release.names_kernel`.
    """

    def __init__(
        self,
        kind: Kind,
        where: str,
        found: str,
        *,
        why: str | None = None,
        remedy: str | None = None,
        evidence: Sequence[str] = (),
        kernel: str = "",
    ) -> None:
        self.kind = kind
        self.where = where
        self.found = found
        self.why = kind.why if why is None else why
        self.remedy = kind.remedy if remedy is None else remedy
        self.evidence = tuple(evidence)
        self.kernel = kernel
        super().__init__(f"{kind.code}: {where}: {found}")

    def __reduce__(self) -> tuple[Callable[..., Refusal], tuple[object, ...]]:
        """Let processes hand it to each other (`suture.host.side_by_side`)."""
        texts = (self.where, self.found, self.why, self.remedy, self.evidence, self.kernel)
        return _refusal, (self.kind, *texts)

    @property
    def code(self) -> str:
        """The code of the kind."""
        return self.kind.code

    def __str__(self) -> str:
        first = f"error[{self.code}]: {self.where}: {self.found}"
        # "error[kernel-not-fetched]: 6.1.0-50-amd64: ..." names it already.
        about = f"Kernel: {self.kernel}" if self.kernel and self.kernel not in first else ""
        body = [about, self.why, *(f"  {line}" for line in self.evidence), self.remedy]
        lines = [line for text in body for line in text.splitlines() if line.strip()]
        return "\n".join([first, *(f"  {line}" for line in lines)])

    def as_dict(self) -> dict[str, object]:
        """Return the refusal as ``--json`` prints it; with the kernel where there is one."""
        about: dict[str, object] = {"kernel": self.kernel} if self.kernel else {}
        return {
            "code": self.code,
            **about,
            "where": self.where,
            "found": self.found,
            "why": self.why,
            "remedy": self.remedy,
            "evidence": list(self.evidence),
        }


def _refusal(
    kind: Kind,
    where: str,
    found: str,
    why: str,
    remedy: str,
    evidence: tuple[str, ...],
    kernel: str,
) -> Refusal:
    return Refusal(kind, where, found, why=why, remedy=remedy, evidence=evidence, kernel=kernel)
