# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture load``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.changing import (
    no_journal_option,
    no_revert_option,
    options,
    replace_option,
    timeout_option,
    wait_option,
)
from suture.cli.commands import PATH, argument, command, option
from suture.cli.names import kept_or_modules
from suture.cli.output import NOT_SEEN, emit, json_option
from suture.host.terminal import printable
from suture.module.staying import first_of

if TYPE_CHECKING:
    from suture.core.change import Options
    from suture.core.forecast import LoadForecast
    from suture.core.load import Loaded

EXAMPLES = (
    ("suture load fix.ko", "load it and wait until all tasks run the new code"),
    ("suture load fix.ko --dry-run", "show what it would replace, and what stands in the way"),
    ("suture load fix", "load the one installed for the running kernel"),
    (
        "suture load fix.ko --timeout 300",
        "give tasks that sleep in the old code five minutes to leave it",
    ),
    ("suture load fix.ko --json | jq -r .seconds", "print how long the transition took"),
)


@command("load", examples=EXAMPLES)
@argument(
    "module",
    metavar="FILE.ko|NAME",
    type=PATH,
    shell_complete=kept_or_modules,
    help="A live patch module, from any build tool, or the name of an installed one.",
)
@timeout_option
@no_revert_option
@option(
    "--ignore-probes",
    is_flag=True,
    help="Load even if kprobes in replaced functions will stop firing, or BPF programs are "
    "attached to them.",
)
@option(
    "--require-signature",
    is_flag=True,
    help="Require a signature by a key in /etc/suture/trusted, even if the kernel does not.",
)
@replace_option
@option(
    "--dry-run",
    is_flag=True,
    help="Only say what would happen; exit with status 1 if it is refused.",
)
@wait_option
@no_journal_option
@json_option
def load(
    module: Path,
    timeout: float,
    no_revert: bool,
    ignore_probes: bool,
    require_signature: bool,
    replace: bool,
    dry_run: bool,
    wait: float,
    no_journal: bool,
) -> None:
    """Load a live patch into the running kernel and wait until all tasks run it.

    Suture first checks for obstacles: a different kernel release, a signature that the kernel does
    not accept, a function that is missing or already redirected, another transition. If it refuses,
    nothing has changed.

    If tasks do not leave the old code within --timeout, Suture shows each with its stack and the
    function that it is in, reverses the transition and unloads the module, which leaves the kernel
    as it was.

    A live patch that replaces all earlier ones does so for each task in one step, and is refused if
    functions of theirs would lose their fix (--replace loads it all the same). Their modules are
    then unloaded, unless they stay in memory until the reboot because the kernel may still call
    what they handed out. Such a live patch can be loaded again, under another module name.
    """
    from suture.core.certificates import trusted_certificates
    from suture.core.load import load as load_patch
    from suture.core.store import named
    from suture.module import signature

    chosen = options(
        timeout,
        not no_revert,
        wait,
        not no_journal,
        ignore_probes=ignore_probes,
        replace=replace,
    )
    data, where, always = named(module)
    if require_signature or always:
        signature.check(data, where, trusted_certificates())
    if dry_run:
        _show_forecast(data, where, chosen)
        return
    done = load_patch(data, where, chosen)
    emit(done, lambda: for_people(done))


def _show_forecast(data: bytes, where: str, chosen: Options) -> None:
    from suture.core.forecast import forecast

    found = forecast(data, where, chosen)
    emit(forecast_document(found), lambda: printable("\n".join(forecast_lines(found))))
    if found.refusals:
        raise click.exceptions.Exit(1)


def forecast_document(found: LoadForecast) -> dict[str, object]:
    """What would happen, for ``--json``."""
    return {
        "name": found.name,
        "live_patch": found.live_patch,
        "release": found.release,
        "functions": found.functions,
        "replaces": found.replaces,
        "lost": found.lost,
        "shared": found.shared,
        "stays": found.stays,
        "staying": found.staying,
        "signer": found.signer,
        "fixes": found.fixes,
        "refusals": [refusal.as_dict() for refusal in found.refusals],
        "unseen": found.unseen,
    }


def forecast_lines(found: LoadForecast) -> list[str]:
    """What would happen, for people."""
    would = "would not be loaded" if found.refusals else "would come into force"
    lines = [f"{found.name} {would}. Nothing has changed."]
    if found.name != found.live_patch:
        lines.append(
            f"It is {found.live_patch}, under another name: an earlier one stays in memory."
        )
    lines += [f"  fixes {fix}" for fix in found.fixes]
    taken = {(one.objname, one.function): one.patch for one in found.shared}
    for place in found.functions:
        objname, _, function = place.partition(":")
        earlier = taken.get((objname, function))
        instead = f", in place of the one of {earlier}" if earlier else ""
        lines.append(f"  replaces {objname}: {function}(){instead}")
    if found.replaces:
        lines.append(f"It would take {', '.join(found.replaces)} out of force.")
    lines += [f"  back to the kernel's own code: {one}" for one in found.lost]
    if found.staying:
        lines.append(f"In memory until the reboot would stay {', '.join(found.staying)}.")
    if found.stays:
        reasons = first_of(found.stays)
        lines.append(f"Once loaded, it stays in memory until the reboot: {reasons}.")
    if found.signer:
        lines.append(f"It is signed with a key that the kernel trusts: {found.signer}.")
    if found.unseen:
        lines.append(f"{NOT_SEEN}: {found.unseen}.")
    if not found.refusals:
        return [*lines, "All checks are passed."]
    return [*lines, *(f"\n{refusal}" for refusal in found.refusals)]


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
    lines += [f"A hook went wrong: {wrong}." for wrong in done.hooks]
    return printable("\n".join(lines))
