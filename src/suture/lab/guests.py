# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's guests with systemd: a small system of this host's own distribution.

To add another distribution:

1. Write one module with a class for the protocol `GuestSystem`; ``debian.py`` is an example, and
   ``disk.py`` makes the file system.
2. Add an instance to `GUESTS`.
3. Add the program that makes the system to the distribution's tools
   (`suture.host.distributions`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from suture.errors import TOOL_MISSING, Refusal
from suture.host import distributions
from suture.lab.debian import DebianGuest


class GuestSystem(Protocol):
    """Makes a small system of a distribution."""

    @property
    def id(self) -> str:
        """The distribution's ID (`suture.host.distributions.Distribution.id`)."""

    @property
    def python_packages(self) -> Path:
        """The directory below ``/usr/local`` in which the guest's Python finds packages."""

    def image(self) -> Path:
        """Return a file system image that boots with any target's kernel, from the cache or made;
        it must not be written to.

        It has systemd, Python, kmod and iproute2, and neither Suture nor a kernel.

        :raises Refusal: ``archive-unreachable``, ``tool-missing``, ``command-failed``,
            ``disk-full``
        """


GUESTS: tuple[GuestSystem, ...] = (DebianGuest(),)


def here() -> GuestSystem:
    """Return the guest system of this host's distribution.

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
