# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture rollout start``, ``status``, ``watch``, ``pause``, ``resume``, ``halt`` and
``roll-back``"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suture.cli.commands import PATH, argument, group, option
from suture.cli.fleet_options import StatePlace, state_options
from suture.cli.output import Human, emit, in_parts, json_option, json_wanted, table
from suture.cli.rollout_control import control
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.fleet.rollout import RolloutState
    from suture.fleet.rollouts import StoredRollout

rollout = group(
    "rollout",
    "Roll a live patch out to a fleet in waves, halt on evidence, and roll back.",
    (
        "suture rollout control --state http://etcd:2379 --prometheus http://prometheus:9090 "
        "--offers /srv/offers",
        "run a controller",
    ),
    ("suture rollout start plan.toml --state http://etcd:2379", "begin"),
    ("suture rollout watch fix --state http://etcd:2379", "see it go"),
    ("suture rollout halt fix --state http://etcd:2379", "let no more hosts load it"),
)

WATCH = 2.0
"""Seconds between two looks of ``watch``."""


class RolloutName(click.ParamType):  # type: ignore[type-arg]  # as of click 8.2
    """The name of a rollout."""

    name = "name"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the word if it is one."""
        from suture.fleet.rollouts import NAME

        if not NAME.fullmatch(str(value)):
            self.fail(f"{value!r} is no name of a rollout.", param, ctx)
        return str(value)


name_argument = argument(
    "name", type=RolloutName(), metavar="NAME", help="The rollout; by default a plan's live patch."
)
because_option = option("--because", metavar="TEXT", help="The reason, which 'status' shows.")


@rollout.command("start")
@argument("plan", type=PATH, metavar="PLAN", help="The plan, in TOML: docs/fleet.md.")
@option(
    "--name",
    metavar="NAME",
    type=RolloutName(),
    help="What it is called; by default like the live patch.",
)
@state_options
@json_option
def start(plan: Path, name: str | None, place: StatePlace) -> None:
    """Begin a rollout. A controller ('suture rollout control') takes it from there."""
    from suture.fleet import plan_file
    from suture.fleet.rollouts import Rollouts
    from suture.host.files import read_bytes

    text = read_bytes(plan).decode(errors="replace")
    called = name or plan_file.parse(text, str(plan)).patch[:64]
    made = Rollouts(place.open()).start(called, text, str(plan))
    waves = len(made.plan.waves)
    emit(_document(made), printable(f"{made.name} has begun; it has {waves} waves."))


@rollout.command("status")
@argument(
    "name", type=RolloutName(), metavar="NAME", required=False, help="One rollout; by default all."
)
@state_options
@json_option
def status(name: str | None, place: StatePlace) -> None:
    """Show where rollouts are, and what keeps them from going on."""
    from suture.fleet.controller import INTERVAL
    from suture.fleet.leading import KEY
    from suture.fleet.rollouts import Rollouts

    state = place.open()
    rollouts = Rollouts(state)
    found = [rollouts.get(name)] if name else list(rollouts.all().values())
    leader = state.leader(KEY)
    emit(
        {"leader": leader or None, "rollouts": [_document(one) for one in found]},
        lambda: _for_people(found, leader, INTERVAL),
    )


@rollout.command("watch")
@name_argument
@state_options
@json_option
def watch(name: str, place: StatePlace) -> None:
    """Show a rollout each time that something changes, until it is over."""
    from suture.fleet.rollouts import Rollouts

    rollouts, said = Rollouts(place.open()), ""
    while True:
        found = rollouts.get(name)
        now = _line(found)
        if now != said and not json_wanted.get():
            emit(None, now)
            said = now
        if found.state.is_over:
            if json_wanted.get():
                emit(_document(found), "")
            return
        time.sleep(WATCH)


@rollout.command("pause")
@name_argument
@because_option
@state_options
@json_option
def pause(name: str, because: str | None, place: StatePlace) -> None:
    """Stay at the wave that a rollout is at. Its hosts go on; those of later waves do not begin."""
    from suture.fleet.rollout import paused

    _change(name, because, place, paused)


@rollout.command("resume")
@name_argument
@because_option
@state_options
@json_option
def resume(name: str, because: str | None, place: StatePlace) -> None:
    """Go on after a pause or a halt. Failures up to a halt are known then, and count no more."""
    from suture.fleet.rollout import resumed

    _change(name, because, place, resumed)


@rollout.command("halt")
@name_argument
@because_option
@state_options
@json_option
def halt(name: str, because: str | None, place: StatePlace) -> None:
    """Let no host load the live patch any more. Hosts that have it keep it."""
    from suture.fleet.rollout import halted

    _change(name, because, place, lambda state, why: halted(state, why))


@rollout.command("roll-back")
@name_argument
@because_option
@state_options
@json_option
def roll_back(name: str, because: str | None, place: StatePlace) -> None:
    """Halt, and have the live patch unloaded, in the order of waves."""
    from suture.fleet.rollout import rolled_back

    _change(name, because, place, rolled_back)


def _change(
    name: str,
    because: str | None,
    place: StatePlace,
    change: Callable[[RolloutState, str], RolloutState],
) -> None:
    from suture.fleet.rollouts import Rollouts

    why = f"by {_user()}{f': {because}' if because else ''}"
    after = Rollouts(place.open()).change(name, lambda state: change(state, why))
    emit(_document(after), _line(after))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return "somebody"


def _document(found: StoredRollout) -> dict[str, Any]:
    """A rollout as a document."""
    from suture.fleet import rollout as rollouts

    return {
        "name": found.name,
        "patch": found.plan.patch,
        "waves": [wave.name for wave in found.plan.waves],
        "started": found.started,
        **rollouts.document(found.state),
    }


def _line(found: StoredRollout) -> str:
    """Where a rollout is, in one line."""
    state, waves = found.state, found.plan.waves
    parts = [f"{found.name}: {state.phase.value}{', paused' if state.paused else ''}"]
    if state.offer.waves:
        parts.append(f"wave {state.offer.waves} of {len(waves)}")
    if state.offer.undone:
        parts.append(f"{state.offer.undone} rolled back")
    if state.why:
        parts.append(state.why)
    return printable("; ".join(parts))


def _for_people(found: list[StoredRollout], leader: str, interval: float) -> Human:
    """All of them as a table."""
    if not found:
        return "There are no rollouts; 'suture rollout start PLAN' begins one."
    now, rows, lines = time.time(), [], []
    if not leader and not all(one.state.is_over for one in found):
        lines.append("No controller leads: 'suture rollout control' runs one.")
    for one in found:
        state, waves = one.state, one.plan.waves
        wave = waves[state.offer.waves - 1].name if state.offer.waves else ""
        phase = f"{state.phase.value}{', paused' if state.paused else ''}"
        at = f"{wave} ({state.offer.waves} of {len(waves)})" if wave else f"0 of {len(waves)}"
        in_force = f"{state.in_force} of {state.hosts}"
        numbers = (in_force, str(state.silent), str(len(state.failed)))
        rows.append((one.name, phase, at, *numbers, state.why))
        since = now - (state.clock or one.started)
        if leader and not state.is_over and since > 4 * interval:
            lines.append(f"{leader} leads, and has not looked at {one.name} for {since:.0f} s.")
    columns = ("rollout", "is", "at wave", "in force", "silent", "failed", "because")
    rolled = table(columns, rows)
    return in_parts(rolled, printable("\n".join(lines))) if lines else rolled


rollout.add_command(control)
