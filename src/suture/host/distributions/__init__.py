# SPDX-License-Identifier: GPL-2.0-or-later
"""What this host's distribution calls the packages that Suture needs, and how it installs them.

To add another distribution:

1. Write one module with a class that has what `Distribution` asks for; ``debian.py`` shows how.
   Its table has a package for everything in `suture.host.packages.TOOLS`.
2. Put one of it into `DISTRIBUTIONS`.
3. For a guest with systemd in the lab, see `suture.lab.guests`; for kernels, `suture.sources`; for
   live patches in the initramfs, `suture.core.initramfs`.

``make`` reads this before there is a virtual environment, so these modules need nothing but Python.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import Protocol

from suture.host.distributions.debian import DebianHost
from suture.host.packages import Tool

__all__ = ["DISTRIBUTIONS", "Distribution", "Unknown", "here"]


class Distribution(Protocol):
    """A distribution that Suture runs on, as far as packages go."""

    @property
    def id(self) -> str:
        """As ``ID`` or ``ID_LIKE`` of os-release(5) has it."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def compiler(self) -> str:
        """The command of the compiler that its own kernels are built with, for where no target
        says it."""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What is needed on it besides: the programs that get its kernels and make its guests."""

    def package(self, tool: Tool) -> str:
        """The package that has a program or header; "" where that is not known."""

    def install_line(self, packages: Iterable[str]) -> str:
        """The command that installs packages, for root; "" where there is none to tell."""


class Unknown:
    """A distribution that Suture has no table for: programs are asked for by their own names."""

    id = "unknown"
    name = "this distribution"
    compiler = "gcc"
    tools: tuple[Tool, ...] = ()

    def package(self, tool: Tool) -> str:
        return ""

    def install_line(self, packages: Iterable[str]) -> str:
        return ""


DISTRIBUTIONS: tuple[Distribution, ...] = (DebianHost(),)


def here() -> Distribution:
    """The one that this host runs, or the one that it is like."""
    try:
        described = platform.freedesktop_os_release()
    except OSError:
        return Unknown()
    ids = (described.get("ID", ""), *described.get("ID_LIKE", "").split())
    known = {distribution.id: distribution for distribution in DISTRIBUTIONS}
    return next((known[found] for found in ids if found in known), Unknown())
