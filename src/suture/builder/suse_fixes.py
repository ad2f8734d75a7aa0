# SPDX-License-Identifier: GPL-2.0-or-later
"""SUSE's directories: where the fixes in one do not make a live patch, each is tried by itself.

A directory as SUSE publishes it has the fixes of one of SUSE's kernels.  For any other kernel some
fit and some do not: a function is missing there, or has other arguments, or the C does not compile
against its headers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.builder.artifact import Artifact
from suture.builder.cmodules import build_modules
from suture.errors import (
    ACCEPTED_NOT_FOUND,
    DISK_FULL,
    FILE_UNREADABLE,
    MODEL_DIFFERS,
    NAME_UNUSABLE,
    NO_LIVEPATCH,
    SUSE_FIX_UNKNOWN,
    SUSE_FIXES_MISFIT,
    TOOL_MISSING,
    Acceptance,
    Kind,
    Refusal,
)
from suture.formats import cmodule, suse
from suture.formats.recognise import Input
from suture.host.progress import step
from suture.kernel.release import Target
from suture.model import Fix

NOT_ABOUT_FIXES: frozenset[Kind] = frozenset(
    {
        ACCEPTED_NOT_FOUND,
        DISK_FULL,
        FILE_UNREADABLE,
        MODEL_DIFFERS,
        NAME_UNUSABLE,
        NO_LIVEPATCH,
        SUSE_FIX_UNKNOWN,
        TOOL_MISSING,
    }
)
"""Refusals that no choice of fixes can avoid."""


@dataclass(frozen=True, slots=True)
class TriedFix:
    """A fix that was built by itself, with uname's.

    :ivar replaces: the functions that it replaces, where it fits.
    :ivar refusal: why it does not fit; None where it does.
    """

    name: str
    replaces: tuple[str, ...] = ()
    refusal: Refusal | None = None

    def row(self, width: int) -> str:
        """Return its row in the table.

        :param width: of the first column.
        """
        if self.refusal is None:
            return f"{self.name:<{width}}  fits     {', '.join(self.replaces)}"
        return f"{self.name:<{width}}  refused  {self.refusal.args[0]}"


def build_fixes(
    given: Input,
    target: Target,
    *,
    output: Path | None = None,
    directory: Path | None = None,
    name: str | None = None,
    several: bool = True,
    fixes: tuple[Fix, ...] = (),
    check: Callable[[Artifact], None] = lambda _: None,
    accepted: Sequence[Acceptance] = (),
) -> tuple[Artifact, ...]:
    """Build as `build_modules` does; where a directory has several fixes and not all of them fit,
    say which do.

    :raises Refusal: ``suse-fixes-misfit``, and what `build_modules` raises
    """
    try:
        return build_modules(
            given,
            target,
            output=output,
            directory=directory,
            name=name,
            several=several,
            fixes=fixes,
            check=check,
            accepted=accepted,
        )
    except Refusal as refusal:
        if not suse.is_top(given.path) or refusal.kind in NOT_ABOUT_FIXES:
            raise
        names = [fix.title for fix in cmodule.fixes_of(given.path, given.only)]
        if len(names) < 2:
            raise
        tried = list(_tried(given, names, target, accepted))
        if _is_of_all(refusal, tried):
            raise
        raise _misfit(given, target, tried) from refusal


def _tried(
    given: Input, names: Sequence[str], target: Target, accepted: Sequence[Acceptance]
) -> Iterator[TriedFix]:
    for fix in names:
        alone = dataclasses.replace(given, only=(fix,))
        with step("Trying", fix):
            try:
                (built,) = build_modules(alone, target, accepted=accepted, use_all=False)
            except Refusal as refusal:
                yield TriedFix(fix, refusal=refusal)
                continue
        yield TriedFix(fix, tuple(_replaced(built)))


def _replaced(built: Artifact) -> Iterator[str]:
    for one in built.checked:
        if not suse.is_of_uname(one.new):
            yield f"{one.objname}: {one.function}()"


def _is_of_all(refusal: Refusal, tried: Sequence[TriedFix]) -> bool:
    """Tell whether a refusal is of all fixes together: each fits, or each is refused for the same
    (the main file has an unknown place holder)."""
    refusals = [one.refusal for one in tried if one.refusal is not None]
    same = [one for one in refusals if one.args == refusal.args]
    return not refusals or len(same) == len(tried)


def _misfit(given: Input, target: Target, tried: Sequence[TriedFix]) -> Refusal:
    fitting = [one for one in tried if one.refusal is None]
    width = max(len(one.name) for one in tried)
    found = f"{len(fitting)} of {len(tried)} fixes fit {target.release}"
    remedy = None
    if fitting:
        options = " ".join(f"--only {one.name}" for one in fitting)
        remedy = f"Build those that fit: {options}. Mend the others for this kernel."
    rows = [one.row(width) for one in tried]
    return Refusal(SUSE_FIXES_MISFIT, str(given), found, remedy=remedy, evidence=rows)
