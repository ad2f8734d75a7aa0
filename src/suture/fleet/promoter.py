# SPDX-License-Identifier: GPL-2.0-or-later
"""Brings an offer to the hosts.

A `Promoter` has to keep two promises, on which all that is said of rollouts rests:

- It performs an offer wholly or not at all, and may be asked to do so again.
- It never goes back to an offer with a lower serial number: a leader that has slept may still bring
  one after another leader has halted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from suture.errors import OFFER_NOT_PERFORMED, Refusal
from suture.fleet.plan import RolloutPlan, Wave
from suture.fleet.rollout import RolloutOffer
from suture.host import files, run

DEADLINE = 120.0
"""Seconds that a program may take: a halt that comes meanwhile has to wait for it."""


class Promoter(Protocol):
    """A way to the hosts."""

    def perform(self, rollout: str, plan: RolloutPlan, offer: RolloutOffer, serial: int) -> None:
        """Offer this to the hosts from now on.

        :param rollout: its name.
        :param serial: the offer's number.
        :raises Refusal: ``offer-not-performed``, and others; then it is asked again
        """


def offer_document(
    rollout: str, plan: RolloutPlan, offer: RolloutOffer, serial: int
) -> dict[str, Any]:
    """Return an offer for those who know no plans: which hosts load, and which unload."""
    return {
        "rollout": rollout,
        "serial": serial,
        "patch": plan.patch,
        "salt": plan.salt,
        "held": offer.held,
        "load": _selectors(plan.waves[offer.undone : offer.waves]),
        "unload": _selectors(plan.waves[: offer.undone]),
    }


def _selectors(waves: Sequence[Wave]) -> list[Mapping[str, object]]:
    return [
        {key: value for key, value in asdict(wave).items() if value and key != "soak"}
        for wave in waves
    ]


class OfferDirectory:
    """Writes each rollout's offer to a file, for whoever brings it to the hosts: ``NAME.json`` in a
    directory that all controllers share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def perform(self, rollout: str, plan: RolloutPlan, offer: RolloutOffer, serial: int) -> None:
        """As `Promoter.perform`."""
        path = self._directory / f"{rollout}.json"
        with files.locked(self._directory / f".{rollout}.lock"):
            if serial <= self._last(path):
                return
            content = json.dumps(offer_document(rollout, plan, offer, serial), indent=2)
            files.write_atomic(path, f"{content}\n".encode(), durable=True)

    def _last(self, path: Path) -> int:
        try:
            return int(json.loads(path.read_bytes())["serial"])
        except FileNotFoundError:
            return -1
        except (OSError, ValueError, KeyError, TypeError) as error:
            found = f"what was offered last cannot be read: {error}"
            raise Refusal(OFFER_NOT_PERFORMED, str(path), found) from error


class OfferProgram:
    """Runs a program of the operator's, with the offer as one JSON object on standard input.

    The program keeps the promises of this module; it gets the serial number for that.
    """

    def __init__(self, program: Path) -> None:
        self._program = program.absolute()

    def perform(self, rollout: str, plan: RolloutPlan, offer: RolloutOffer, serial: int) -> None:
        """As `Promoter.perform`."""
        import os

        content = json.dumps(offer_document(rollout, plan, offer, serial)).encode()
        done = run.fed([self._program], content, env=os.environ, deadline=DEADLINE)
        if done.status != 0:
            lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
            found = f"it exited with status {done.status}"
            raise Refusal(OFFER_NOT_PERFORMED, str(self._program), found, evidence=lines[-10:])
