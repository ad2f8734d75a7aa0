# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of the administrator's that run before and after changes and reboots:
``/etc/suture/hooks.d/EVENT/NAME``.

============  =====================================================================================
``pre-load``  before a live patch is loaded, with all checks passed and nothing changed; an exit
              status other than 0 refuses it
``post-load`` after it has come into force
``failed``    after it could not be loaded
``drift``     'suture status --notify', where all is not well
``drain``     before 'suture fleetlock reboot' reboots; an exit status other than 0 keeps it from
              that
``steady``    after that reboot, before the next host may; an exit status other than 0 asks again
              later
============  =====================================================================================

Each gets the facts as one JSON object on standard input.  They run as root, one after the other in
the order of their names, and whoever could change one could load any code into the kernel: like the
store, all of them and the directories above must be root's alone (`suture.core.trusted`).
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from suture.core import trusted
from suture.errors import HOOK_REFUSED, PATH_UNTRUSTED, Refusal
from suture.host import run
from suture.host.packages import SEARCH_PATH

DIRECTORY = Path("/etc/suture/hooks.d")

DEADLINE = 60.0
"""Seconds for each program."""

LINES = 10


class HookEvent(StrEnum):
    """When programs run: the name of their directory."""

    PRE_LOAD = "pre-load"
    POST_LOAD = "post-load"
    FAILED = "failed"
    DRIFT = "drift"
    DRAIN = "drain"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class HookResult:
    """What one program came to.

    :ivar output: what it printed last, stderr after stdout.
    """

    path: str
    status: int
    output: tuple[str, ...]


def run_hooks(
    event: HookEvent,
    facts: Mapping[str, object],
    directory: Path = DIRECTORY,
    *,
    deadline: float | None = None,
    anchor: Path = Path("/"),
    owner: int = 0,
) -> tuple[HookResult, ...]:
    """Run the programs of an event.

    :param deadline: seconds for each; by default `DEADLINE`.
    :raises Refusal: ``path-untrusted``, before any has run
    """
    place = directory / event
    if not place.is_dir():
        return ()
    content = json.dumps({"event": event.value, **facts}).encode() + b"\n"
    paths = list(_programs(place, anchor, owner))
    return tuple(_run(path, content, deadline or DEADLINE) for path in paths)


def ask(facts: Mapping[str, object]) -> None:
    """Run the programs that may refuse a live patch.

    :raises Refusal: ``hook-refused``, ``path-untrusted``
    """
    for result in run_hooks(HookEvent.PRE_LOAD, facts):
        if result.status != 0:
            found = f"it exited with status {result.status}"
            raise Refusal(HOOK_REFUSED, result.path, found, evidence=result.output)


def tell(event: HookEvent, facts: Mapping[str, object]) -> tuple[str, ...]:
    """Run programs that are told of what has happened; that cannot fail any more.

    :return: what went wrong with them, one line each
    """
    try:
        results = run_hooks(event, facts)
    except Refusal as refusal:
        return (f"{refusal.where}: {refusal.found}",)
    return tuple(
        f"{result.path} exited with status {result.status}"
        for result in results
        if result.status != 0
    )


def _programs(place: Path, anchor: Path, owner: int) -> Iterator[Path]:
    """Yield the executable files of a directory that only its owner can change; others, such as a
    README, are passed over."""
    with trusted.open_directory(place, anchor=anchor, owner=owner) as directory:
        for name in directory.names():
            if name.startswith(".") or name.endswith("~"):
                continue
            path = place / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise Refusal(PATH_UNTRUSTED, str(path), "is a symbolic link")
            if stat.S_ISREG(mode) and mode & stat.S_IXUSR:
                directory.check(name)
                yield path


def _run(path: Path, content: bytes, deadline: float) -> HookResult:
    environment = {"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8"}
    done = run.fed([path], content, env=environment, deadline=deadline)
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    return HookResult(str(path), done.status, tuple(lines[-LINES:]))
