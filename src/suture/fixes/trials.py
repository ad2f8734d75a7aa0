# SPDX-License-Identifier: GPL-2.0-or-later
"""Each group of changed files, tried: can it be live by itself?

A group is compiled with what it needs, compared, searched for findings, and its functions are
proved against the shipped kernel; nothing is linked.  The verdict is kept under a digest of the
diffs, as soon as there is one: an interrupted run goes on where it was, and the next version tries
only what is new in it.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from suture import __version__
from suture.builder.source_diffs import DiffParts, parts_of_diffs
from suture.diff.omitted import EXIT_CODE, EXIT_DATA
from suture.errors import (
    COMMAND_FAILED,
    COMPILER_MISMATCH,
    DISK_FULL,
    FILE_UNREADABLE,
    INTERNAL_ERROR,
    INTERRUPTED,
    LIBRARY_MISSING,
    NO_CODE_CHANGE,
    PATCH_DOES_NOT_COMPILE,
    TOOL_MISSING,
    WORKSPACE_FAILED,
    Refusal,
)
from suture.fixes.declarations import Declarations
from suture.fixes.groups import FileGroup
from suture.fixes.kept_changes import FileDiff
from suture.formats import diff
from suture.formats.diff import PatchSource
from suture.host import failures
from suture.host.paths import cache
from suture.host.progress import Silent, advance, reporter, step
from suture.host.side_by_side import Job, side_by_side, workers
from suture.verify.kernel import Kernel
from suture.workspace import objects, store
from suture.workspace.original import originals
from suture.workspace.prepare import Workspace

RECIPE = "trial 1"
"""Raised whenever a group is tried in another way."""

MEMORY = 2 << 30
"""Bytes for each process that tries groups, with its compilers."""

MOST_USERS = 100
"""Objects that a header may reach; finding out which of so many change takes minutes."""

AT_A_TIME = 4
"""Groups for one process: what it reads of the kernel is read once for them, and so few are tried
again after a stop."""

OF_THIS_HOST = frozenset(
    (
        COMMAND_FAILED,
        COMPILER_MISMATCH,
        DISK_FULL,
        FILE_UNREADABLE,
        INTERRUPTED,
        LIBRARY_MISSING,
        TOOL_MISSING,
        WORKSPACE_FAILED,
    )
)
"""Refusals that say nothing of the group: the same trial may end otherwise the next time."""

_NEVER_RUNS = (EXIT_CODE.core, EXIT_DATA.core)
"""Why parts are left out that make no difference to the kernel."""

_NOT_KEPT = frozenset((INTERNAL_ERROR.code, PATCH_DOES_NOT_COMPILE.code))
"""What may be mended, by us or by what else changes in the next version."""


@dataclass(frozen=True, slots=True)
class TriedPart:
    """A part of a file that a live patch leaves out (`suture.diff.omitted.LeftOut`).

    :ivar is_harmless: no code of this kernel would ever run it.
    """

    source: str
    what: str
    why: str
    is_harmless: bool


@dataclass(frozen=True, slots=True)
class GroupVerdict:
    """What became of a group.

    :ivar code: of the refusal; "" where the group can be live.
    :ivar where: what is refused; `found`: why.
    :ivar because_of: the path whose group is refused, where this one needs that.
    :ivar functions: how many are replaced.
    :ivar left_out: parts that the live patch leaves out.
    :ivar findings: warnings and questions, one line each.
    """

    group: FileGroup
    code: str = ""
    where: str = ""
    found: str = ""
    because_of: str = ""
    functions: int = 0
    left_out: tuple[TriedPart, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether the group can be live."""
        return not self.code

    @property
    def changes_nothing(self) -> bool:
        """Whether the kernel's code is the same with and without it."""
        return self.code == NO_CODE_CHANGE.code

    @property
    def is_refused(self) -> bool:
        """Whether it changes the kernel's code, and cannot be live."""
        return not self.is_live and not self.changes_nothing


def try_groups(
    workspace: Workspace,
    groups: Sequence[FileGroup],
    diffs: Mapping[str, FileDiff],
    declarations: Declarations,
) -> Generator[GroupVerdict]:
    """Yield a verdict for each group, as they come.

    :param groups: each after those that it needs.
    :param declarations: of all changed headers.
    :raises Refusal: ``original-does-not-compile``, ``disk-full``, ``command-failed``, and others
        that are about this host
    """
    trial = _Trial(workspace, Kernel(workspace.target), diffs, declarations)
    refused: dict[str, GroupVerdict] = {}
    done = 0
    with step("Trying groups of files", f"{len(groups)} groups"):
        for level in _levels(groups):
            waiting = []
            for group in level:
                lost = next((refused[path] for path in group.needs if path in refused), None)
                if lost is None:
                    waiting.append(group)
                    continue
                verdict = _lost_with(group, lost)
                refused |= dict.fromkeys(group.paths, verdict)
                done += 1
                yield verdict
            for verdict in trial.verdicts(waiting):
                if verdict.is_refused:
                    refused |= dict.fromkeys(verdict.group.paths, verdict)
                done += 1
                advance(done, len(groups))
                yield verdict


def _lost_with(group: FileGroup, lost: GroupVerdict) -> GroupVerdict:
    """Return the verdict of a group that needs a refused one."""
    return replace(lost, group=group, because_of=lost.because_of or lost.group.name)


def _levels(groups: Sequence[FileGroup]) -> Iterator[list[FileGroup]]:
    """Yield the groups that need none of the rest."""
    level_of: dict[str, int] = {}
    levels: list[list[FileGroup]] = []
    for group in groups:
        level = 1 + max((level_of.get(path, -1) for path in group.needs), default=-1)
        level_of |= dict.fromkeys(group.paths, level)
        if level == len(levels):
            levels.append([])
        levels[level].append(group)
    for grouped in levels:
        # What takes longest comes last: who stops then has the verdicts of most.
        yield sorted(grouped, key=lambda one: any(path.endswith(".h") for path in one.whole))


@dataclass(frozen=True, slots=True)
class _Trial:
    """What all trials share."""

    workspace: Workspace
    kernel: Kernel
    diffs: Mapping[str, FileDiff]
    declarations: Declarations

    def verdicts(self, groups: Sequence[FileGroup]) -> Iterator[GroupVerdict]:
        """Yield the verdicts of groups that do not wait for each other."""
        missing = []
        for group in groups:
            if (kept := self._kept(group)) is not None:
                yield kept
            else:
                missing.append(group)
        if not missing:
            return
        self._compile_originals(missing)
        self.kernel.read()
        jobs = [Job(part[0].name, partial(self._try_all, part)) for part in _parts(missing)]
        for index, found in side_by_side(jobs, workers(MEMORY)):
            if found is None:
                raise Refusal(COMMAND_FAILED, jobs[index].name, "the process that tried it ended")
            if isinstance(found, Refusal):
                raise found
            yield from found

    def _compile_originals(self, groups: Sequence[FileGroup]) -> None:
        """Compile what every trial needs at once: kbuild takes a second to start."""
        built = objects.everything(self.workspace)
        paths = dict.fromkeys(path for group in groups for path in group.whole)
        listed = [one for path in paths if path.endswith(".c") and (one := built.of(path))]
        originals(self.workspace, listed)

    def _try_all(self, groups: Sequence[FileGroup]) -> list[GroupVerdict] | Refusal:
        reporter.set(Silent())
        try:
            return [self._try(group) for group in groups]
        except Refusal as refusal:
            return refusal

    def _try(self, group: FileGroup) -> GroupVerdict:
        verdict = self._tried(group)
        while isinstance(verdict, FileGroup):
            verdict = self._tried(verdict)
        if verdict.code not in _NOT_KEPT:
            fields = {**asdict(verdict), "digest": self._digest(verdict.group)}
            store.save_bytes(*self._place(group), json.dumps(fields).encode())
        return verdict

    def _tried(self, group: FileGroup) -> GroupVerdict | FileGroup:
        """Try a group; return the group with more files where the compiler misses something that
        these declare."""
        text = "".join(self.diffs[path].text for path in group.whole)
        try:
            with failures.refused(["fixes"]):
                patch = diff.parse(group.name, text.encode(errors="surrogateescape"), 1)
                source = PatchSource((patch,))
                parts = parts_of_diffs(source, self.kernel, self.workspace, most_users=MOST_USERS)
                return _live(group, parts)
        except Refusal as refusal:
            if refusal.kind in OF_THIS_HOST:
                raise
            if refusal.kind is PATCH_DOES_NOT_COMPILE:
                missing = self.declarations.missing(group, refusal)
                if missing:
                    return replace(group, needs=tuple(sorted({*group.needs, *missing})))
            return GroupVerdict(group, refusal.code, refusal.where, _told(refusal))

    def _kept(self, group: FileGroup) -> GroupVerdict | None:
        body = store.load_bytes(*self._place(group))
        if body is None:
            return None
        with suppress(ValueError, TypeError, KeyError):
            fields = json.loads(body)
            tried = replace(group, needs=tuple(fields.pop("group")["needs"]))
            if fields.pop("digest") != self._digest(tried):  # a file that was added differs now
                return None
            parts = tuple(TriedPart(**part) for part in fields.pop("left_out"))
            findings = tuple(fields.pop("findings"))
            return GroupVerdict(tried, **fields, left_out=parts, findings=findings)
        return None

    def _place(self, group: FileGroup) -> tuple[Path, str]:
        directory = cache() / "fixes" / self.workspace.target.release / "trials"
        return directory, self._digest(group)

    def _digest(self, group: FileGroup) -> str:
        """Return the digest of what a group is tried with.

        :raises KeyError: one of its files does not differ
        """
        parts = [RECIPE, __version__, self.workspace.name]
        return store.key([*parts, *(self.diffs[path].text for path in group.whole)])


def _parts(groups: Sequence[FileGroup]) -> Iterator[list[FileGroup]]:
    """Yield some groups at a time."""
    waiting = iter(groups)
    while part := list(islice(waiting, AT_A_TIME)):
        yield part


def _told(refusal: Refusal) -> str:
    """Return what was found, and the compiler's first error."""
    error = next((line for line in refusal.evidence if ": error: " in line), "")
    return f"{refusal.found}: {error.partition(': error: ')[2]}" if error else refusal.found


def _live(group: FileGroup, parts: DiffParts) -> GroupVerdict:
    files = {one.source for one in parts.files_left_out}
    left_out = tuple(
        TriedPart(one.source, one.what, one.why, one.why in _NEVER_RUNS or one.source in files)
        for one in parts.left_out
    )
    findings = tuple(f"{one.where}: {one.found} [{one.kind.code}]" for one in parts.findings)
    functions = sum(len(cut.functions) for cut in parts.cuts)
    return GroupVerdict(group, functions=functions, left_out=left_out, findings=findings)
