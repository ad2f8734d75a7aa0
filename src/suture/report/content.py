# SPDX-License-Identifier: GPL-2.0-or-later
"""The content of a report, as one value; renderers turn it into a page, a mail or a document.

Every value here has a JSON form (`suture.report.document`): texts, numbers, lists.  Addresses are
texts, as JavaScript rounds large numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from suture.model import Fix

FORMAT = 1
"""Version of the document; it is raised when a reader of an older one would misread a newer one."""


class Origin(StrEnum):
    """Where the content of a report comes from.

    :cvar BUILT: Suture built the module from source, and compared the code with the kernel's.
    :cvar VERIFIED: the module and the target alone were at hand.
    :cvar REFUSED: nothing was built.
    """

    BUILT = "built"
    VERIFIED = "verified"
    REFUSED = "refused"


class Mark(StrEnum):
    """How a line of one side relates to the other side."""

    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"
    CHANGED = "changed"
    SKIPPED = "skipped"


class FunctionRole(StrEnum):
    """What the live patch does with a function.

    :cvar REPLACED: the core redirects calls to the new code.
    :cvar CARRIED: it cannot be redirected; its callers are replaced and call the new code.
    :cvar NEW: the patch adds it.
    """

    REPLACED = "replaced"
    CARRIED = "carried"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal.

    :ivar evidence: further lines.
    """

    code: str
    where: str
    found: str
    why: str
    remedy: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportVerdict:
    """The answer.

    :ivar fits: nothing was found that keeps the module from fitting the target.
    :ivar headline: one sentence.
    :ivar shown: what was shown, each as a sentence; `not_shown`: what could not be.
    """

    fits: bool
    headline: str
    shown: tuple[str, ...] = ()
    not_shown: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of a hunk.

    :ivar old: its number before the patch, `new`: after it; 0 where it is not there.
    """

    mark: Mark
    old: int
    new: int
    text: str


@dataclass(frozen=True, slots=True)
class SourceHunk:
    """A place where the source changes.

    :ivar inside: the functions, macros and types that it changes.
    """

    path: str
    inside: tuple[str, ...]
    lines: tuple[SourceLine, ...]


@dataclass(frozen=True, slots=True)
class CodeRow:
    """Instructions side by side.

    :ivar before: offset and instruction in the old code, "" where it has none; `after`: in the new
        code.  Of skipped rows, `before` says how many.
    """

    mark: Mark
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class FunctionAccount:
    """One function of the live patch.

    :ivar new_name: the symbol of the new code in the module.
    :ivar reason: why it is in the live patch, as a sentence.
    :ivar hunks: the numbers of the hunks that change it or what it uses, from 0.
    :ivar size: bytes of the old code, `new_size`: of the new code; 0 where not known.
    :ivar rows: where the instructions differ, with those around; empty where the code before is not
        at hand.
    :ivar omitted: how many more rows there are.
    """

    objname: str
    name: str
    sympos: int
    new_name: str
    source: str
    role: FunctionRole
    reason: str
    hunks: tuple[int, ...] = ()
    size: int = 0
    new_size: int = 0
    rows: tuple[CodeRow, ...] = ()
    omitted: int = 0


@dataclass(frozen=True, slots=True)
class ProofRow:
    """A function that was compared with the shipped kernel.

    :ivar compared: bytes that are equal; `fields`: linked addresses, each compared by its target.
    :ivar refers_to: the names of those targets.
    """

    objname: str
    function: str
    sympos: int
    source: str
    address: str
    compared: int
    fields: int
    refers_to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A replaced function that was looked up in the target.

    :ivar address: "" if it was not found; in a module, a section and an offset.
    :ivar prototype: ``same``, ``differs`` or ``unknown``; "" where both sources were compiled.
    """

    objname: str
    function: str
    sympos: int
    new_name: str
    address: str
    size: int
    new_size: int
    prototype: str
    problem: str = ""


EXPORT, LIVEPATCH = "export", "livepatch"
"""How a module reaches a symbol: the loader links it, or the core resolves it."""


@dataclass(frozen=True, slots=True)
class ReachedSymbol:
    """A symbol outside of the module that it uses.

    :ivar how: ``export`` (the loader links it) or ``livepatch`` (the core resolves it).
    :ivar objname: the object that holds it; "" if not known.
    :ivar sympos: its position among its namesakes there, 0 for the only one.
    :ivar resolved_with: the object with which the core resolves it; "" for an export.
    :ivar places: how many fields of the module hold it; 0 for an export.
    :ivar detail: of an export, its kind and version.
    """

    name: str
    how: str
    objname: str
    sympos: int
    resolved_with: str
    places: int
    address: str
    detail: str
    problem: str = ""

    @property
    def is_linked(self) -> bool:
        """Whether the loader links it, as it does those that are exported."""
        return self.how == EXPORT


@dataclass(frozen=True, slots=True)
class CallbackRow:
    """A function that runs when the live patch comes into force or leaves it."""

    objname: str
    kind: str
    function: str
    source: str


@dataclass(frozen=True, slots=True)
class DataRow:
    """A variable that changes in memory."""

    objname: str
    name: str
    sympos: int
    size: int


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A danger, warning or question.

    :ivar because: why the author accepted it; "" for what needs no acceptance.
    """

    level: str
    code: str
    name: str
    where: str
    found: str
    why: str = ""
    remedy: str = ""
    evidence: tuple[str, ...] = ()
    because: str = ""


@dataclass(frozen=True, slots=True)
class OmittedRow:
    """A part of the patch that the live patch leaves out."""

    source: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class AdaptedRow:
    """A patch file that did not fit as it is written.

    :ivar how: ``with fuzz 1``, ``by a three-way merge``.
    :ivar diff: what it changes in the target.
    """

    name: str
    how: str
    diff: str


@dataclass(frozen=True, slots=True)
class FileHash:
    """A file that the report is about.

    :ivar role: ``module``, ``input``, ``kernel image``.
    """

    role: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class LabScript:
    """One run of a script of the author's in the lab."""

    phase: str
    status: int
    output: str
    name: str = "script"


@dataclass(frozen=True, slots=True)
class LabCalls:
    """How often new code ran in the lab; None if calls cannot be counted."""

    objname: str
    function: str
    calls: int | None


@dataclass(frozen=True, slots=True)
class LabComplaint:
    """What the kernel in the lab complained about."""

    what: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabResult:
    """A test of the module in a virtual machine."""

    passed: bool
    release: str
    accelerator: str
    seconds: float
    made: str
    scripts: tuple[LabScript, ...] = ()
    calls: tuple[LabCalls, ...] = ()
    complaints: tuple[LabComplaint, ...] = ()
    failure: Problem | None = None


@dataclass(frozen=True, slots=True)
class LiveRow:
    """A function that was compared with the memory of the host.

    :ivar role: ``replaced`` or ``reached``.
    :ivar address: in the running kernel; "" if not known.
    :ivar verdict: ``same``, ``differs`` or ``not compared``; `because`: why not.
    :ivar rewritten: what the kernel itself has changed in it, such as ``static call (3)``.
    :ivar tracer: what its entry calls: a tracer, a live patch; "" for nothing.
    :ivar probes: somebody's probes in it.
    :ivar differences: the places that nothing explains, with the bytes expected and found.
    """

    role: str
    objname: str
    function: str
    address: str
    size: int
    verdict: str
    because: str = ""
    rewritten: tuple[str, ...] = ()
    tracer: str = ""
    probes: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveMemory:
    """The comparison with the memory of the host that made the report.

    :ivar because: why nothing was compared; "" otherwise.
    :ivar move: how far the kernel moved itself at boot.
    """

    because: str = ""
    move: str = ""
    rows: tuple[LiveRow, ...] = ()


@dataclass(frozen=True, slots=True)
class PatchReport:
    """Everything there is to say about one live patch module.

    :ivar format: `FORMAT`.
    :ivar name: the live patch's; `release`: the target; `version`: that of its packages, or "".
    :ivar stays: why it stays in memory until the reboot.
    :ivar hands_out: addresses in an author's module that the kernel may keep.
    :ivar compiler: the target's, as its configuration names it.
    :ivar suture: the version that made the report; `made`: when, ISO 8601, UTC.
    :ivar seconds: how long the build or the verification took.
    :ivar live: the comparison with this host's memory; None where it was not asked for.
    """

    format: int
    origin: Origin
    name: str
    release: str
    version: str
    verdict: ReportVerdict
    replace: bool = True
    fixes: tuple[Fix, ...] = ()
    hunks: tuple[SourceHunk, ...] = ()
    functions: tuple[FunctionAccount, ...] = ()
    proofs: tuple[ProofRow, ...] = ()
    checks: tuple[CheckRow, ...] = ()
    findings: tuple[FindingRow, ...] = ()
    left_out: tuple[OmittedRow, ...] = ()
    adapted: tuple[AdaptedRow, ...] = ()
    symbols: tuple[ReachedSymbol, ...] = ()
    callbacks: tuple[CallbackRow, ...] = ()
    data: tuple[DataRow, ...] = ()
    shadow_variables: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    hands_out: tuple[str, ...] = ()
    files: tuple[FileHash, ...] = ()
    build_id: str = ""
    signed: bool = False
    size: int = 0
    compiler: str = ""
    suture: str = ""
    made: str = ""
    seconds: float = 0.0
    lab: LabResult | None = None
    live: LiveMemory | None = None
