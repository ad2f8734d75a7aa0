# SPDX-License-Identifier: GPL-2.0-or-later
"""Distributions: their names of the packages that Suture needs, and their package tools.

To add another distribution:

1. Write one module with a class for the protocol `Distribution`; ``debian.py`` is an example.  Its
   table has a package for everything in `suture.host.packages.TOOLS`.
2. Add an instance to `DISTRIBUTIONS`.
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
    """The packages of a distribution."""

    @property
    def id(self) -> str:
        """The ``ID`` in os-release(5), or the ``ID_LIKE`` of its derivatives."""

    @property
    def name(self) -> str:
        """The name in messages."""

    @property
    def compiler(self) -> str:
        """The command of the compiler that builds the distribution's kernels, for use without a
        target."""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The distribution's own tools: programs that get its kernels and make its guests."""

    def package(self, tool: Tool) -> str:
        """Return the package with a program or header; "" if unknown."""

    def install_line(self, packages: Iterable[str]) -> str:
        """Return root's command that installs packages; "" if unknown."""

    def kernel_url(self, release: str, banner: str) -> str:
        """Return the package URL (purl) of a kernel's image.

        :param banner: what ``/proc/version`` says of it.
        """


class Unknown:
    """A distribution without a table: messages name the programs themselves."""

    id = "unknown"
    name = "this distribution"
    compiler = "gcc"
    tools: tuple[Tool, ...] = ()

    def package(self, tool: Tool) -> str:
        """Return "": no package is known."""
        return ""

    def install_line(self, packages: Iterable[str]) -> str:
        """Return "": no package tool is known."""
        return ""

    def kernel_url(self, release: str, banner: str) -> str:
        """Return a package URL without a distribution."""
        return f"pkg:generic/linux@{release}"


DISTRIBUTIONS: tuple[Distribution, ...] = (DebianHost(),)


def here() -> Distribution:
    """Return the distribution that this host runs, or from which it derives."""
    try:
        described = platform.freedesktop_os_release()
    except OSError:
        return Unknown()
    ids = (described.get("ID", ""), *described.get("ID_LIKE", "").split())
    known = {distribution.id: distribution for distribution in DISTRIBUTIONS}
    return next((known[found] for found in ids if found in known), Unknown())
