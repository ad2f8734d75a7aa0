# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture follow setup``, ``run``, ``hold``, ``resume``, ``pin`` and ``reset``"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.commands import PATH, Number, argument, group, option
from suture.cli.names import module_name_argument
from suture.cli.output import Human, emit, in_parts, json_option, refuse
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.core.following import Following
    from suture.repo.follow import FollowOutcome

follow = group(
    "follow",
    "Follow a signed repository: load what this host's ring has chosen, and take out what was "
    "withdrawn.",
    (
        "suture follow setup https://patches.example.org/kernel --ring canary --root 1.root.json",
        "follow it from now on, from a timer of systemd's",
    ),
    ("suture follow run --dry-run", "ask the repository, and say what would be done"),
    (
        "suture follow hold --reason 'sale'",
        "change nothing until 'suture follow resume'",
    ),
)


@follow.command("setup")
@argument("url", metavar="URL", help="The repository or a mirror: https:, http: or file:.")
@option("--ring", metavar="NAME", required=True, help="The ring that this host is in.")
@option(
    "--root",
    metavar="ROOT.json",
    type=PATH,
    required=True,
    help="The repository's root metadata, which must have come here by a way that you trust.",
)
@option(
    "--delay",
    metavar="TIME",
    default="0m",
    help="Load a live patch only that long after the ring has chosen it: 30m, 24h or 7d.",
)
@option("--at-boot/--no-at-boot", default=True, help="Also install what was loaded.")
@option(
    "--require-signature",
    is_flag=True,
    help="Also require a signature by a key in /etc/suture/trusted, as 'suture load' can.",
)
@option("--timeout", metavar="SECONDS", type=Number(1, 86_399), default=60, help="For transitions.")
@option("--proxy", metavar="URL", default="", help="A proxy; by default that of the environment.")
@option("--timer/--no-timer", default=True, help="Run each quarter of an hour, by systemd.")
@json_option
def setup(
    url: str,
    ring: str,
    root: Path,
    delay: str,
    at_boot: bool,
    require_signature: bool,
    timeout: int,
    proxy: str,
    timer: bool,
) -> None:
    """Write /etc/suture/follow.toml and /etc/suture/root.json, and start the timer.

    The repository is asked first, and nothing is written if it cannot be verified from that root.
    """
    from suture.host.files import read_bytes
    from suture.repo import setup as settings_of

    done = settings_of.set_up(
        settings_of.SetupWish(
            url, ring, read_bytes(root), delay, at_boot, require_signature, timeout, proxy, timer
        )
    )
    text = f"This host follows the ring {ring} of {url}."
    again = "'suture follow run' does so now." if not timer else "suture-follow.timer does so."
    emit(done, printable(f"{text} {again}"))


@follow.command("run")
@option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
def run(dry_run: bool) -> None:
    """Ask the repository, and do what it says: load, replace or unload, as 'suture load' and
    'suture unload' do.

    The exit status is 1 if anything went wrong. What is in force stays so then, and boots load what
    is installed.
    """
    from suture.repo.setup import follow_once

    outcome = follow_once(dry=dry_run)
    emit(document(outcome), lambda: for_people(outcome, dry_run))
    if outcome.refusals:
        raise click.exceptions.Exit(1)


@follow.command("hold")
@option("--reason", metavar="TEXT", default="", help="Why; 'suture status' shows it.")
@json_option
def hold(reason: str) -> None:
    """Change nothing on this host until 'suture follow resume'.

    The repository is asked all the same, and 'suture status' says what waits.
    """
    from suture.repo.setup import hold as set_hold

    _emit_state(set_hold(reason))


@follow.command("resume")
@json_option
def resume() -> None:
    """End a hold and a pin, and try again what was set aside."""
    from suture.repo.setup import resume as end

    _emit_state(end())


@follow.command("pin")
@module_name_argument
@json_option
def pin(name: str) -> None:
    """Stay at a live patch of the repository, whatever the ring chooses, until it is withdrawn."""
    from suture.repo.setup import pin as set_pin

    _emit_state(set_pin(name))


@follow.command("reset")
@json_option
def reset() -> None:
    """Forget what was seen of the repository, and begin anew with /etc/suture/root.json.

    Only for a repository that was made anew: until the next run, this host would believe older
    metadata than it has seen.
    """
    from suture.repo.setup import reset as forget

    forget()
    emit({"reset": True}, "The next run begins with the root metadata in /etc/suture.")


def document(outcome: FollowOutcome) -> dict[str, object]:
    """The outcome for ``--json``."""
    return {
        "loaded": outcome.loaded,
        "unloaded": outcome.unloaded,
        "would_load": outcome.would_load,
        "would_unload": outcome.would_unload,
        "report": asdict(outcome.report),
        "errors": [refusal.as_dict() for refusal in outcome.refusals],
    }


def for_people(outcome: FollowOutcome, dry: bool) -> Human:
    """The outcome for people; refusals go to stderr."""
    from suture.cli.output import json_wanted

    lines: list[str] = []
    report = outcome.report
    if outcome.loaded:
        lines.append(f"{outcome.loaded} is in force.")
    lines += [f"{name} is out of force." for name in outcome.unloaded]
    if outcome.would_load:
        lines.append(f"{outcome.would_load} would be loaded.")
    lines += [f"{name} would be unloaded." for name in outcome.would_unload]
    if report.waits and not outcome.refusals:
        lines.append(f"{report.offered or 'What is offered'} waits ({report.waits}): {report.why}.")
    if not json_wanted.get():
        for refusal in outcome.refusals:
            refuse(refusal)
    if not lines and not outcome.refusals:
        lines.append("Nothing to do: this host has what its ring has chosen.")
    if dry:
        lines.append("Nothing has changed.")
    return in_parts(*map(printable, lines))


def _emit_state(state: Following) -> None:
    lines = [f"On hold since {state.hold}." if state.hold else "Not on hold."]
    lines += [f"Pinned at {state.pin}."] if state.pin else []
    emit(
        {"hold": state.hold, "pin": state.pin, "aside": state.aside},
        lambda: printable("\n".join(lines)),
    )
