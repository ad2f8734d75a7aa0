# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture rollout control``, which runs on servers"""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.commands import PATH, Seconds, command, option
from suture.cli.fleet_options import (
    ListenAddress,
    StatePlace,
    certificates,
    host_and_port,
    log,
    state_options,
)

if TYPE_CHECKING:
    from suture.fleet.controller import Controller
    from suture.fleet.leading import Leading


@command("control")
@option("--prometheus", metavar="URL", required=True, help="The Prometheus that has the hosts.")
@option(
    "--alertmanager",
    metavar="URL",
    help="Ask this Alertmanager for alerts, so that silenced ones do not count.",
)
@option("--ca", metavar="FILE", type=PATH, help="Who vouches for both (PEM).")
@option("--cert", metavar="FILE", type=PATH, help="Our certificate for both.")
@option("--key", metavar="FILE", type=PATH, help="The key of --cert.")
@option(
    "--host-label",
    metavar="NAME",
    default="instance",
    help="The label that names a host.",
)
@option(
    "--offers",
    metavar="DIRECTORY",
    type=PATH,
    help="Write what hosts are offered to DIRECTORY/NAME.json.",
)
@option(
    "--promote-with",
    metavar="PROGRAM",
    type=PATH,
    help="Run this program with what hosts are offered, as JSON on its standard input.",
)
@option(
    "--interval",
    metavar="SECONDS",
    type=Seconds(min=0.1, max=60.0),
    default=15.0,
    help="How often to look.",
)
@option(
    "--listen",
    metavar="ADDRESS:PORT",
    type=ListenAddress(),
    help="Serve /metrics here (extra 'fleet').",
)
@state_options
def control(
    prometheus: str,
    alertmanager: str | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    host_label: str,
    offers: Path | None,
    promote_with: Path | None,
    interval: float,
    listen: str | None,
    place: StatePlace,
) -> None:
    """Run a controller, until it is stopped.

    Several may run on the same etcd: one leads, and another goes on when it no longer does.
    """
    from suture.fleet.controller import Controller
    from suture.fleet.leading import Leading
    from suture.fleet.prometheus import PrometheusEvidence
    from suture.fleet.promoter import OfferDirectory, OfferProgram
    from suture.fleet.rollouts import Rollouts

    if (offers is None) == (promote_with is None):
        raise click.UsageError("Give one of '--offers' and '--promote-with'.")
    state = place.open()
    files = certificates(ca, cert, key)
    evidence = PrometheusEvidence(
        prometheus, alertmanager, certificates=files, host_label=host_label
    )
    promoter = OfferDirectory(offers) if offers else OfferProgram(promote_with or Path())
    controller = Controller(Rollouts(state), evidence, promoter, log)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *unused: stopping.set())
    holder = f"{socket.gethostname()}:{os.getpid()}"
    with Leading(state, holder, log) as leading, ExitStack() as serving:
        if listen:
            address = serving.enter_context(_metrics(controller, leading, listen))
            log(f"metrics are at http://{address}/metrics")
        log(f"looking every {interval:g} s, with the state in {state.name}")
        controller.run(lambda: leading.is_leader, stopping, interval)


def _metrics(controller: Controller, leading: Leading, listen: str) -> AbstractContextManager[str]:
    """Return a block in which metrics are served."""
    from suture.fleet import rollout_metrics
    from suture.fleet.serving import Service
    from suture.fleet.web import WebAnswer, WebRequest

    def answer(request: WebRequest) -> WebAnswer:
        text = rollout_metrics.exposition(controller.looks, leading.is_leader)
        return rollout_metrics.answer(request, text)

    return Service(answer).in_background(*host_and_port(listen))
