# SPDX-License-Identifier: GPL-2.0-or-later
"""Reboots this host in its turn, in this order:

1. Write the turn down (`suture.fleet.turn`).
2. Take a slot of the lock server.
3. Run the programs for `suture.core.hooks.HookEvent.DRAIN`, which take services off this host.  One
   that fails gives the slot back.
4. Reboot.
5. After the boot, ``suture-steady.service`` waits until `suture.core.status` finds all well and the
   programs for ``steady`` agree, and gives the slot back.

Whatever ends this in between leaves at worst a slot that is held too long, never a reboot without
one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from suture.core import hooks, running, status, trusted, units
from suture.core.hooks import HookEvent, HookResult
from suture.core.status import Verdict
from suture.errors import DRAIN_REFUSED, HOST_NOT_STEADY, Kind, Refusal
from suture.fleet.turn import RebootTurn, TurnFile
from suture.host import deployment

DRAIN_SECONDS = 30 * 60.0
"""For each program: moving guests or data off a host takes its time."""

Programs = Callable[[HookEvent, Mapping[str, object]], Sequence[HookResult]]
"""As `suture.core.hooks.run_hooks`."""

STEADY = "suture-steady.service"

STEADY_UNIT = """\
# Made by 'suture fleetlock reboot'.
[Unit]
Description=Give back the slot in which this host has rebooted
Documentation=man:suture(1)
Wants=network-online.target
After=network-online.target suture.service suture-confirm.service multi-user.target
ConditionPathExists=/var/lib/suture/reboot-turn.json
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={start} suture fleetlock steady
Restart=on-failure
RestartSec=1min

[Install]
WantedBy=multi-user.target
"""

SENTINEL = Path("/run/reboot-required")
"""What kured looks for (kubereboot/kured: ``--reboot-sentinel``), as apt's hosts have it."""


def reboot(
    turn: RebootTurn,
    restart: Callable[[], None],
    *,
    wait: float = 0.0,
    log: Callable[[str], None] = lambda line: None,
    turns: TurnFile | None = None,
    programs: Programs | None = None,
) -> None:
    """Do the first four steps.

    :param restart: reboots, or begins to.
    :param wait: seconds to wait for a slot.
    :param log: told what it waits for.
    :param programs: runs those of an event.
    :raises Refusal: ``slot-refused``, ``lock-server-unreachable``, ``drain-refused``,
        ``path-untrusted``, ``store-unwritable``, and those of `restart`
    """
    kept, client = turns or TurnFile(), turn.client()
    kept.write(turn)
    try:
        client.wait_for_slot(wait, log)
        _ask(HookEvent.DRAIN, turn, DRAIN_REFUSED, programs)
        restart()
    except BaseException:
        # Where the server does not answer, the next boot gives back what it may hold.
        with suppress(Refusal):
            client.steady_state()
            kept.remove()
        raise


def steady(
    *,
    without_reboot: bool = False,
    turns: TurnFile | None = None,
    programs: Programs | None = None,
    verdict: Callable[[], Verdict] | None = None,
) -> RebootTurn | None:
    """Give this host's slot back, if it has one and does its work again.

    :param without_reboot: also if it was not rebooted since it took the slot.
    :param verdict: says how the live patches of this host are.
    :return: the turn that has ended; None where it had none.
    :raises Refusal: ``host-not-steady``, ``slot-refused``, ``lock-server-unreachable``,
        ``path-untrusted``, ``store-damaged``, ``store-unwritable``
    """
    kept = turns or TurnFile()
    turn = kept.read()
    if turn is None:
        return None
    if turn.boot == running.boot_id() and not without_reboot:
        found = "it has not rebooted since it took the slot"
        remedy = "Reboot it, or give the slot back with 'suture fleetlock steady --no-reboot'."
        raise Refusal(HOST_NOT_STEADY, turn.host, found, remedy=remedy)
    now = verdict() if verdict else status.status().verdict
    if now is not Verdict.OK:
        found = f"'suture status --check' ends with {now.value} ({now.name.lower()})"
        raise Refusal(HOST_NOT_STEADY, turn.host, found)
    _ask(HookEvent.STEADY, turn, HOST_NOT_STEADY, programs)
    turn.client().steady_state()
    kept.remove()
    return turn


def needs_reboot() -> str:
    """Return why this host should reboot; "" for no reason.

    What cannot be live in the running kernel is either in a newer one that is installed, or in
    live patches that only other kernels have.
    """
    now = status.status()
    if now.newer_kernel:
        return f"{now.newer_kernel} is installed"
    if now.unprotected:
        names = ", ".join(one.name for one in now.unprotected)
        return f"only other kernels have {names}"
    return "a transition does not end" if now.verdict is Verdict.STALLED else ""


def restart() -> None:
    """Reboot with systemd.

    :raises Refusal: ``systemd-missing``, ``command-failed``, ``tool-missing``
    """
    units.refuse_without_systemd()
    units.systemctl("reboot")


def ensure_unit(directory: Path = units.UNITS) -> None:
    """See to it that the next boot gives the slot back.

    :raises Refusal: as `suture.core.units.ensure`
    """
    units.refuse_without_systemd()
    units.check_code()
    text = deployment.this().fill(STEADY_UNIT).encode()
    with trusted.open_directory(directory) as place:
        is_new = STEADY not in place.names() or place.read(STEADY) != text
        if is_new:
            place.write(STEADY, text)
    if is_new:
        units.systemctl("daemon-reload")
    units.systemctl("enable", STEADY)


def ask_kured(sentinel: Path = SENTINEL) -> None:
    """Leave the reboot to kured, which drains the node of a Kubernetes cluster first.

    :raises Refusal: ``path-untrusted``, ``store-unwritable``
    """
    with trusted.open_directory(sentinel.parent.resolve()) as directory:
        directory.write(sentinel.name, b"*** System restart required ***\n")


def _ask(event: HookEvent, turn: RebootTurn, kind: Kind, programs: Programs | None) -> None:
    facts = {"group": turn.group, "id": turn.host, "server": turn.server}
    asked = programs or partial(hooks.run_hooks, deadline=DRAIN_SECONDS)
    for result in asked(event, facts):
        if result.status != 0:
            found = f"it exited with status {result.status}"
            raise Refusal(kind, result.path, found, evidence=result.output)
