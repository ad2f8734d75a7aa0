# SPDX-License-Identifier: GPL-2.0-or-later
"""Options shared by the commands about fleets."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suture.cli.commands import PATH, option

if TYPE_CHECKING:
    from suture.fleet.http import Certificates
    from suture.fleet.state import SharedState

STATE_VARIABLE = "SUTURE_FLEET_STATE"


class ListenAddress(click.ParamType):  # type: ignore[type-arg]  # as of click 8.2
    """An address and a port, such as ``127.0.0.1:3333`` or ``[::]:3333``."""

    name = "address"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the word if it is one."""
        if not re.fullmatch(r".*:[0-9]{1,5}", str(value)) or host_and_port(str(value))[1] > 65535:
            self.fail(f"{value!r} is not of the form ADDRESS:PORT.", param, ctx)
        return str(value)


def host_and_port(address: str) -> tuple[str, int]:
    """Return the two parts of an address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class GroupName(click.ParamType):  # type: ignore[type-arg]
    """The name of a group of hosts."""

    name = "group"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the word if it is one."""
        from suture.fleet.semaphore import GROUP

        if not GROUP.fullmatch(str(value)):
            self.fail(f"{value!r} has other characters than a-z, A-Z, 0-9, '.' and '-'.")
        return str(value)


@dataclass(frozen=True, slots=True)
class StatePlace:
    """The values of the options that say where the shared state is, in the order of `OPTIONS`."""

    state: str
    etcd_ca: Path | None
    etcd_cert: Path | None
    etcd_key: Path | None

    def open(self) -> SharedState:
        """Return the store.  :raises Refusal: ``url-wrong``, ``file-unreadable``"""
        from suture.fleet.stores import open_state

        return open_state(self.state, certificates(self.etcd_ca, self.etcd_cert, self.etcd_key))


OPTIONS = (
    option(
        "--state",
        metavar="URL,...|FILE",
        required=True,
        envvar=STATE_VARIABLE,
        help="Where the state is kept: the URLs of etcd's members, or, for a single node, a file "
        f"of SQLite's. {STATE_VARIABLE} in the environment says it too.",
    ),
    option("--etcd-ca", metavar="FILE", type=PATH, help="Who vouches for etcd (PEM)."),
    option("--etcd-cert", metavar="FILE", type=PATH, help="Our certificate for etcd."),
    option("--etcd-key", metavar="FILE", type=PATH, help="The key of --etcd-cert."),
)


def state_options(function: Callable[..., None]) -> Callable[..., None]:
    """Declare the options; the function gets all of them as one value, `place`."""

    @wraps(function)
    def together(**given: Any) -> None:
        place = StatePlace(**{field.name: given.pop(field.name) for field in fields(StatePlace)})
        function(place=place, **given)

    declared: Callable[..., None] = together
    for declare in reversed(OPTIONS):
        declared = declare(declared)
    return declared


def certificates(authority: Path | None, own: Path | None, key: Path | None) -> Certificates:
    """Return what three options name."""
    from suture.fleet.http import Certificates

    return Certificates(authority, own, key)


def log(line: str) -> None:
    """Write a line to the log of a service: to stderr, which systemd keeps."""
    sys.stderr.write(f"{re.sub('[^ -~]', '?', line)}\n")
    sys.stderr.flush()
