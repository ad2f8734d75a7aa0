# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture fleetlock serve``, ``holders``, ``release`` and ``slots``, which servers have, and
``reboot`` and ``steady``, which hosts have"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.commands import PATH, Number, Seconds, argument, group, option
from suture.cli.fleet_options import (
    GroupName,
    ListenAddress,
    StatePlace,
    certificates,
    host_and_port,
    log,
    state_options,
)
from suture.cli.output import Human, emit, json_option, table, utc
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.fleet.semaphore import Semaphore

fleetlock = group(
    "fleetlock",
    "Reboot hosts in turn, a few at a time: a lock server that speaks FleetLock's protocol, and a "
    "client of any server that does.",
    ("suture fleetlock slots default 2 --state /var/lib/suture-fleet.db", "let two reboot at once"),
    (
        "suture fleetlock serve --listen 0.0.0.0:3333 --state /var/lib/suture-fleet.db",
        "run the lock server",
    ),
    ("suture fleetlock reboot --server http://lock:3333", "reboot this host in its turn"),
)

SERVER_VARIABLE = "SUTURE_FLEETLOCK_SERVER"


@fleetlock.command(
    "serve",
    examples=(
        (
            "suture fleetlock serve --state http://a:2379,http://b:2379,http://c:2379",
            "one of several lock servers, on an etcd of three",
        ),
        (
            "suture fleetlock serve --state /var/lib/suture-fleet.db --listen 0.0.0.0:3333 "
            "--tls-cert server.pem --tls-key server.key",
            "a single server over HTTPS",
        ),
    ),
)
@option(
    "--listen",
    metavar="ADDRESS:PORT",
    type=ListenAddress(),
    default="127.0.0.1:3333",
    help="Where hosts connect.",
)
@option("--tls-cert", metavar="FILE", type=PATH, help="Speak HTTPS with this certificate (PEM).")
@option("--tls-key", metavar="FILE", type=PATH, help="The key of --tls-cert.")
@option(
    "--tls-client-ca",
    metavar="FILE",
    type=PATH,
    help="Let in only clients for whose certificates this authority vouches.",
)
@option(
    "--connections",
    metavar="NUMBER",
    type=Number(min=1, max=100_000),
    default=256,
    help="How many connections there may be at a time; others wait.",
)
@state_options
def serve(
    listen: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    connections: int,
    place: StatePlace,
) -> None:
    """Run the lock server, until it is stopped.

    Hosts ask it before they reboot (POST /v1/pre-reboot) and when they are back (POST
    /v1/steady-state); /metrics is for Prometheus. Groups and their slots are in the shared state:
    'suture fleetlock slots' makes and changes them, for all servers at once. A slot is held until
    it is given back, however long that takes.

    The semaphores have the keys and the form of airlock's, which may run on the same etcd.
    """
    from suture.fleet.lock_server import LockServer
    from suture.fleet.serving import Service
    from suture.fleet.slots import RebootSlots
    from suture.fleet.web import Limits

    slots = RebootSlots(place.open())
    server = LockServer(slots, log)
    tls = certificates(tls_client_ca, tls_cert, tls_key).server_context()
    scheme = "https" if tls else "http"

    def ready(address: str) -> None:
        log(f"serving at {scheme}://{address}, with the state in {slots.state.name}")

    Service(server.answer, tls=tls, limits=Limits(connections=connections), ready=ready).run(
        *host_and_port(listen)
    )


@fleetlock.command("holders")
@state_options
@json_option
def holders(place: StatePlace) -> None:
    """List the groups, their slots, and the hosts that hold them."""
    from suture.fleet.slots import RebootSlots

    groups = RebootSlots(place.open()).groups()
    emit(
        {
            name: {
                "slots": one.slots,
                "holders": [{"id": host, "since": one.since.get(host)} for host in one.holders],
            }
            for name, one in groups.items()
        },
        lambda: _rows(groups),
    )


def _rows(groups: Mapping[str, Semaphore]) -> Human:
    """The groups as a table."""
    if not groups:
        return "There are no groups yet; 'suture fleetlock slots GROUP NUMBER' makes one."
    rows = []
    for name, one in groups.items():
        taken = f"{len(one.holders)} of {one.slots}"
        hosts = [(host, utc(one.since.get(host, "")) or "unknown") for host in one.holders]
        first, *others = hosts or [("", "")]
        rows.append((name, taken, *first))
        rows += [("", "", *other) for other in others]
    return table(("group", "slots taken", "host", "since (UTC)"), rows)


@fleetlock.command("release")
@argument("group", type=GroupName(), metavar="GROUP", help="The host's group.")
@argument("host", metavar="ID", help="The host, as 'suture fleetlock holders' shows it.")
@state_options
@json_option
def release(group: str, host: str, place: StatePlace) -> None:
    """Free the slot of a host that will not give it back, such as one that no longer exists."""
    from suture.fleet.slots import RebootSlots

    had = RebootSlots(place.open()).give_back(group, host)
    emit(
        {"group": group, "id": host, "released": had},
        printable(
            f"{group}: the slot of {host} is free." if had else f"{group}: {host} holds no slot."
        ),
    )


@fleetlock.command("slots")
@argument("group", type=GroupName(), metavar="GROUP", help="A group; a new one is made.")
@argument(
    "number",
    type=Number(min=0, max=10_000),
    metavar="NUMBER",
    help="How many of its hosts may reboot at a time; 0 for none at all.",
)
@state_options
@json_option
def slots(group: str, number: int, place: StatePlace) -> None:
    """Set how many hosts of a group may reboot at a time, for all lock servers at once.

    Hosts that hold a slot keep it.
    """
    from suture.fleet.slots import RebootSlots

    after = RebootSlots(place.open()).set_slots(group, number)
    held = f", {len(after.holders)} of them taken" if after.holders else ""
    emit(
        {"group": group, "slots": after.slots, "holders": after.holders},
        printable(f"Slots of {group}: {after.slots}{held}."),
    )


@fleetlock.command(
    "reboot",
    examples=(
        (
            "suture fleetlock reboot --server https://lock.example.com --wait 3600",
            "wait up to an hour for a slot, then reboot",
        ),
        (
            "suture fleetlock reboot --if-needed --server http://lock:3333",
            "only where the running kernel lacks something",
        ),
        (
            "suture fleetlock reboot --if-needed --kured",
            "leave it to kured on a node of Kubernetes",
        ),
    ),
)
@option(
    "--server",
    metavar="URL",
    envvar=SERVER_VARIABLE,
    help=f"The lock server. {SERVER_VARIABLE} in the environment says it too.",
)
@option(
    "--group", metavar="GROUP", type=GroupName(), default="default", help="This host's group there."
)
@option(
    "--id",
    "host",
    metavar="ID",
    help="This host's name there; by default the one that Zincati has, made of /etc/machine-id.",
)
@option(
    "--wait",
    metavar="SECONDS",
    type=Seconds(min=0.0),
    default=0.0,
    help="How long to wait for a slot.",
)
@option(
    "--if-needed",
    is_flag=True,
    help="Only if a newer kernel is installed, live patches are for other kernels alone, or a "
    "transition does not end.",
)
@option("--kured", is_flag=True, help="Only ask kured for it, with /run/reboot-required.")
@option("--ca", metavar="FILE", type=PATH, help="Who vouches for the server (PEM).")
@option("--cert", metavar="FILE", type=PATH, help="This host's certificate for it.")
@option("--key", metavar="FILE", type=PATH, help="The key of --cert.")
@json_option
def reboot(
    server: str | None,
    group: str,
    host: str | None,
    wait: float,
    if_needed: bool,
    kured: bool,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
) -> None:
    """Reboot this host in its turn.

    It takes a slot of the lock server, runs the programs in /etc/suture/hooks.d/drain, and reboots.
    After the boot, suture-steady.service gives the slot back, once 'suture status' finds all well
    and the programs in /etc/suture/hooks.d/steady agree. A program in drain that fails gives the
    slot back, and nothing is rebooted.
    """
    from suture.core import running
    from suture.fleet import identity
    from suture.fleet import reboot as rebooting
    from suture.fleet.turn import RebootTurn

    if not kured and not server:
        raise click.UsageError("Missing option '--server', or '--kured'.")
    why = rebooting.needs_reboot() if if_needed else ""
    if if_needed and not why:
        emit({"rebooting": False, "why": None}, "This host needs no reboot.")
        return
    if kured:
        rebooting.ask_kured()
        text = f"{rebooting.SENTINEL} asks for a reboot{f': {why}' if why else ''}."
        emit({"rebooting": False, "sentinel": rebooting.SENTINEL, "why": why or None}, text)
        return
    turn = RebootTurn(
        str(server),
        group,
        host or identity.this_host(),
        running.boot_id(),
        *(str(path.absolute()) if path else "" for path in (ca, cert, key)),
    )
    turn.client()  # refuses a wrong URL before anything is changed
    rebooting.ensure_unit()
    rebooting.reboot(turn, rebooting.restart, wait=wait, log=log)
    emit({"rebooting": True, "why": why or None}, f"Rebooting{f': {why}' if why else ''}.")


@fleetlock.command("steady")
@option(
    "--no-reboot",
    is_flag=True,
    help="Also if it was not rebooted since it took the slot.",
)
@json_option
def steady(no_reboot: bool) -> None:
    """Give back the slot in which this host has rebooted, if all is well with it.

    suture-steady.service runs this after the boot, until it succeeds.
    """
    from suture.fleet.reboot import steady as give_back

    turn = give_back(without_reboot=no_reboot)
    emit(
        {"group": turn.group if turn else None, "id": turn.host if turn else None},
        printable(
            f"This host has given its slot in {turn.group} back."
            if turn
            else "This host has no slot to give back."
        ),
    )
