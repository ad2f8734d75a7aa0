# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture load``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli.changing import NoJournal, NoRevert, Timeout, Wait, options
from suture.cli.names import kept_or_modules
from suture.cli.output import NOT_SEEN, Json, emit
from suture.host.terminal import printable
from suture.module.staying import first_of

if TYPE_CHECKING:
    from suture.core.load import Loaded

EXAMPLES = (
    ("suture load fix.ko", "load it and wait until all tasks run the new code"),
    ("suture load fix", "load the one installed for the running kernel"),
    (
        "suture load fix.ko --timeout 300",
        "give tasks that sleep in the old code five minutes to leave it",
    ),
    ("suture load fix.ko --json | jq -r .seconds", "print how long the transition took"),
)


def load(
    module: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.ko|NAME",
            readable=False,
            autocompletion=kept_or_modules,
            help="A live patch module, from any build tool, or the name of an installed one.",
        ),
    ],
    timeout: Timeout = 60.0,
    no_revert: NoRevert = False,
    ignore_probes: Annotated[
        bool,
        typer.Option(
            "--ignore-probes",
            help="Load even if kprobes in replaced functions will stop firing, or BPF programs are "
            "attached to them.",
        ),
    ] = False,
    require_signature: Annotated[
        bool,
        typer.Option(
            "--require-signature",
            help="Require a signature by a key in /etc/suture/trusted, even if the kernel does "
            "not.",
        ),
    ] = False,
    wait: Wait = 0.0,
    no_journal: NoJournal = False,
    json: Json = False,
) -> None:
    """Load a live patch into the running kernel and wait until all tasks run it.

    Suture first checks for obstacles: a different kernel release, a signature that the kernel does
    not accept, a function that is missing or already redirected, another transition. If it refuses,
    nothing has changed.

    If tasks do not leave the old code within --timeout, Suture shows each with its stack and the
    function that it is in, reverses the transition and unloads the module, which leaves the kernel
    as it was.

    A live patch that replaces all earlier ones does so for each task in one step; their modules are
    then unloaded, unless they stay in memory until the reboot because the kernel may still call
    what they handed out. Such a live patch can be loaded again, under another module name.
    """
    from suture.core.certificates import trusted_certificates
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
    """The result for people."""
    lines = (
        [f"It is signed with a key that the kernel trusts: {done.signer}."] if done.signer else []
    )
    lines += [f"{done.name} is in force: all tasks run it after {done.seconds:.1f} s."]
    if done.name != done.live_patch:
        lines.append(
            f"It is {done.live_patch}, loaded under another name: an earlier one stays in memory."
        )
    gone = [name for name in done.replaced if name not in done.kept]
    if gone:
        lines.append(f"It replaced {', '.join(gone)}, now unloaded.")
    if held := [name for name in done.kept if name not in done.staying]:
        lines.append(f"It replaced {', '.join(held)}, now out of force but still in memory.")
    if done.staying:
        names = ", ".join(done.staying)
        lines.append(f"It replaced {names}, now out of force and in memory until the reboot.")
    if done.stays:
        reasons = first_of(done.stays)
        lines.append(f"Once loaded, it stays in memory until the reboot: {reasons}.")
    if done.unseen:
        lines.append(f"{NOT_SEEN}: {done.unseen}.")
    return printable("\n".join(lines))
