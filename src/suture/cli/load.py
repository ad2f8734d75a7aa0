# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture load``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli.changing import NoJournal, NoRevert, Timeout, Wait, options
from suture.cli.output import Json, emit
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.core.certificates import trusted_certificates
    from suture.core.load import Loaded

EXAMPLES = (
    ("suture load fix.ko", "load it, and wait until all tasks run the new code"),
    ("suture load fix", "the one that is kept for the running kernel"),
    (
        "suture load fix.ko --timeout 300",
        "give tasks that sleep in the old code five minutes to leave it",
    ),
    ("suture load fix.ko --json | jq -r .seconds", "how long the transition took"),
)


def load(
    module: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.ko|NAME",
            readable=False,
            help="A live patch module, whoever built it; or the name of one that 'suture install' keeps.",
        ),
    ],
    timeout: Timeout = 60.0,
    no_revert: NoRevert = False,
    ignore_probes: Annotated[
        bool,
        typer.Option(
            "--ignore-probes", help="Load although kprobes in replaced functions go blind."
        ),
    ] = False,
    require_signature: Annotated[
        bool,
        typer.Option(
            "--require-signature",
            help="Load it only with a signature by a key in /etc/suture/trusted, also where the kernel does not ask.",
        ),
    ] = False,
    wait: Wait = 0.0,
    no_journal: NoJournal = False,
    json: Json = False,
) -> None:
    """Load a live patch into the running kernel, and wait until all tasks run it.

    Whatever stands in the way is looked for first: the wrong kernel, no signature that this one
    takes, a function that is not there or that something else has taken over, another transition. A
    refusal then has changed nothing.

    If tasks do not leave the old code within --timeout, each is named with its stack and the
    function that it is in; then the transition is reversed and the module unloaded, and the kernel
    is as it was.

    A live patch that replaces all before it does so for each task at once; their modules are then
    unloaded.
    """
    from suture.core.load import load as load_patch
    from suture.core.store import named
    from suture.module import signature

    chosen = options(timeout, not no_revert, wait, not no_journal, ignore_probes=ignore_probes)
    data, where, always = named(module)
    if require_signature or always:
        signature.check(data, where, trusted_certificates())
    done = load_patch(data, where, chosen)
    emit(done, lambda: for_people(done))


def for_people(done: Loaded) -> str:
    lines = [f"It is signed with a key that the kernel has: {done.signer}."] if done.signer else []
    lines += [f"{done.name} is in force: all tasks run it after {done.seconds:.1f} s."]
    gone = [name for name in done.replaced if name not in done.kept]
    if gone:
        lines.append(f"It took the place of {', '.join(gone)}, which {_was(gone)} unloaded.")
    if done.kept:
        lines.append(
            f"It took the place of {', '.join(done.kept)}, which {_was(done.kept)} out of force and still in memory."
        )
    return printable("\n".join(lines))


def _was(names: list[str] | tuple[str, ...]) -> str:
    return "was" if len(names) == 1 else "were"
