# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's guests with systemd: a small system of this host's own distribution.

To add that of another distribution:

1. Write one module with a class that has what `GuestSystem` asks for; ``debian.py`` shows how, and
   ``disk.py`` makes the file system.
2. Put one of it into `GUESTS`.
3. Add the program that makes it to the distribution's tools (`suture.host.distributions`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from suture.errors import TOOL_MISSING, Refusal
from suture.host import distributions
from suture.lab.debian import DebianGuest


class GuestSystem(Protocol):
    """How a small system of a distribution is made."""

    @property
    def id(self) -> str:
        """The distribution's (`suture.host.distributions.Distribution.id`)."""

    @property
    def python_packages(self) -> Path:
        """Below ``/usr/local``: where the guest's Python finds what is installed there."""

    def image(self) -> Path:
        """A file system image that any target boots from, made if it is not in the cache; never to
        be written to.

        It has systemd, Python, kmod and iproute2, and nothing of Suture and no kernel.

        :raises Refusal: ``archive-unreachable``, ``tool-missing``, ``command-failed``,
            ``disk-full``
        """


GUESTS: tuple[GuestSystem, ...] = (DebianGuest(),)


def here() -> GuestSystem:
    """That of this host's distribution.

    :raises Refusal: ``tool-missing``
    """
    distribution = distributions.here()
    for guest in GUESTS:
        if guest.id == distribution.id:
            return guest
    raise Refusal(
        TOOL_MISSING,
        distribution.name,
        "no guest with systemd can be made of it",
        why="The guest is a small system of the host's own distribution.",
        remedy=f"Run this on one of: {', '.join(guest.id for guest in GUESTS)}.",
    )
