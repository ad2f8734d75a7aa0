# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture build`` for several kernels: each is tried, whatever became of the others."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from suture.cli.output import Human, emit, in_parts, json_wanted, plain_document, table
from suture.errors import COMMAND_FAILED, PATCH_ALREADY_APPLIED, Refusal
from suture.host import failures
from suture.host.side_by_side import Job, side_by_side, workers

if TYPE_CHECKING:
    from suture.builder.artifact import Artifact
    from suture.kernel.release import Target
    from suture.sources.wanted import WantedKernel

BUILT, HAS_IT, REFUSED = "built", "has it already", "refused"

MEMORY = 1 << 30
"""Bytes to leave for each build with its compilers: one of fs/proc/version.c took 150 million of
them for 6.12, and there are far larger files."""

DISK = 2.3e9
"""Bytes of a kernel on disk with its source and its workspace, as measured for 6.1."""


@dataclass(frozen=True, slots=True)
class KernelOutcome:
    """What became of one kernel.

    :ivar state: `BUILT`, `HAS_IT` or `REFUSED`.
    :ivar modules: a document for each module that was built.
    :ivar shown: what they are, for people.
    :ivar error: the refusal, as ``--json`` prints it.
    """

    release: str
    state: str
    seconds: float
    modules: list[object] = field(default_factory=list)
    shown: tuple[str, ...] = ()
    error: dict[str, object] | None = None

    @property
    def found(self) -> str:
        """The modules' paths, or the refusal in one line."""
        if self.error is None:
            return ", ".join(str(one["module"]) for one in self.modules if isinstance(one, dict))
        return f"{self.error['code']}: {self.error['where']}: {self.error['found']}"


def build_each(
    kernels: Sequence[WantedKernel],
    make: Callable[[Target], Sequence[Artifact]],
    document: Callable[[Artifact], dict[str, object]],
    for_people: Callable[[Artifact], str],
) -> None:
    """Build for each kernel, print what became of each, and exit with 1 if one was refused.

    :param make: builds for one.
    """

    def job(kernel: WantedKernel) -> Job[KernelOutcome]:
        return Job(kernel.release, lambda: _outcome(kernel, make, document, for_people))

    jobs = [job(kernel) for kernel in kernels]
    outcomes: dict[int, KernelOutcome] = {}
    for index, found in side_by_side(jobs, workers(MEMORY)):
        outcomes[index] = found or _vanished(kernels[index].release)
    inorder = [outcomes[index] for index in range(len(kernels))]
    emit(_document(inorder), lambda: _for_people(inorder))
    if any(one.state == REFUSED for one in inorder):
        raise click.exceptions.Exit(1)


def agreed_to_fetch(kernels: Sequence[WantedKernel]) -> bool:
    """Ask on a terminal whether the kernels that are not here are to be fetched."""
    missing = [kernel for kernel in kernels if kernel.target is None]
    if json_wanted.get() or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    download = sum(kernel.offer.size for kernel in missing if kernel.offer is not None)
    click.echo(f"Not here yet: {', '.join(kernel.release for kernel in missing)}", err=True)
    cost = f"{download / 1e6:.0f} MB to download, about {len(missing) * DISK / 1e9:.0f} GB on disk"
    return click.confirm(f"Fetch {'it' if len(missing) == 1 else 'them'} ({cost})?", err=True)


def _outcome(
    kernel: WantedKernel,
    make: Callable[[Target], Sequence[Artifact]],
    document: Callable[[Artifact], dict[str, object]],
    for_people: Callable[[Artifact], str],
) -> KernelOutcome:
    started = time.monotonic()
    try:
        with failures.refused(["build"]):
            artifacts = make(kernel.got())
    except Refusal as refusal:
        state = HAS_IT if refusal.kind == PATCH_ALREADY_APPLIED else REFUSED
        seconds = time.monotonic() - started
        return KernelOutcome(kernel.release, state, seconds, error=refusal.as_dict())
    return KernelOutcome(
        kernel.release,
        BUILT,
        time.monotonic() - started,
        [plain_document(document(one)) for one in artifacts],
        tuple(for_people(one) for one in artifacts),
    )


def _vanished(release: str) -> KernelOutcome:
    found = "the process that built for it was ended by a signal"
    remedy = "The kernel's log says whether memory was short; build for fewer kernels at a time."
    refusal = Refusal(COMMAND_FAILED, release, found, remedy=remedy)
    return KernelOutcome(release, REFUSED, 0, error=refusal.as_dict())


def _document(outcomes: Sequence[KernelOutcome]) -> dict[str, object]:
    kernels = [
        {
            "release": one.release,
            "state": one.state,
            "seconds": round(one.seconds, 1),
            "modules": one.modules,
            "error": one.error,
        }
        for one in outcomes
    ]
    return {"modules": [module for one in outcomes for module in one.modules], "kernels": kernels}


def _for_people(outcomes: Sequence[KernelOutcome]) -> Human:
    rows = [(one.release, one.state, f"{one.seconds:.1f} s", one.found) for one in outcomes]
    refused = [one.error for one in outcomes if one.state == REFUSED and one.error is not None]
    ways = list(dict.fromkeys(f"{error['code']}: {error['remedy']}" for error in refused))
    return in_parts(
        *(shown for one in outcomes for shown in one.shown),
        "",
        table(("kernel", "result", "time", ""), rows),
        *(["", *ways] if ways else []),
    )
