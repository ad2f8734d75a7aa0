# SPDX-License-Identifier: GPL-2.0-or-later
"""Kill ``suture`` at one system call after the other; see what the next commands make of it.

Runs in the guest: ``python3 inject.py load|unload|install few|all[:FROM[:SECONDS]] MODULE.ko
[BEFORE]``, the last of which is a live patch that is loaded before and that this one replaces.
After each kill, what is true is read from the kernel and the files, without Suture, and compared
with what ``suture`` says; ``suture recover`` has to end in one of the two clean states.  One line
of JSON for each kill::

    {"point": "6.1", "call": "finit_module*", "after": "gone", "said": "gone", "verdict": 4,
    "recovered": "gone", ...}

A point is the number of calls so far that can change something, and that of the calls since the
last of those.  It begins at FROM and ends after SECONDS; the last line has the ``next``.

``few`` takes the calls that change the kernel, make something durable, or give it its name, and the
call after each. ``all`` takes every call.  Where all that the kernel and the files show, and the
call, are the same as at an earlier kill, the change is undone without asking Suture once more, and
the line says ``again``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from suture.cli.app import main
from tests.lab.killing import ENDED, Seen, killed, quiet

Row = dict[str, object]

FEW = frozenset(
    {"fsync*", "finit_module*", "delete_module*", "write enabled*", "rename*", "renameat*"}
)
JOURNAL = Path("/var/lib/suture/journal")
SECONDS = 120.0

Point = tuple[int, int]
"""Calls so far that can change something, and calls since the last of those."""


class Loading:
    """``suture load`` or ``suture unload`` of one live patch, and of one before it that it
    replaces."""

    clean = ("gone", "in force")
    fine = (0,)

    def __init__(self, operation: str, module: str, before: str = "") -> None:
        self.operation, self.module, self.before = operation, module, before
        self.patch = named(module)
        self.words = ["load", module] if operation == "load" else ["unload", self.patch]
        self.begins = "gone" if operation == "load" else "in force"

    def prepare(self) -> None:
        """The state in which the command begins."""
        bring(self.module, self.begins)
        if self.before:
            bring(self.before, "in force")

    def state(self) -> str:
        return state(self.patch)

    def world(self) -> str:
        """All that can be different after a kill, beside the journal."""
        return f"{self.state()} {os.listdir('/sys/kernel/livepatch')} {os.path.exists(f'/sys/module/{self.patch}')}"

    def said(self, document: dict) -> str:  # type: ignore[type-arg]
        """The state by ``suture status --json``."""
        for item in document["patches"]:
            if item["patch"]["name"] == self.patch:
                if item["patch"]["transition"]:
                    return "coming" if item["patch"]["enabled"] else "going"
                return "in force" if item["patch"]["enabled"] else "out of force"
        return "left over" if self.patch in document["left_over"] else "gone"

    def fault(self, end: str) -> str:
        """What is wrong with the end; what this one replaces is in force where it is not."""
        if (
            self.before
            and state(named(self.before)) != {"in force": "gone", "gone": "in force"}[end]
        ):
            return f"{self.before} is {state(named(self.before))}"
        return ""

    def undo(self) -> None:
        """Back to the beginning, without Suture."""
        back = {"in force": "0", "coming": "0"} if self.begins == "gone" else {"going": "1"}
        while (now := self.state()) != self.begins:
            with suppress(OSError):  # it has moved on
                if now in back:
                    Path(f"/sys/kernel/livepatch/{self.patch}/enabled").write_text(back[now])
            if now == "gone":
                os.system(f"insmod {self.module}")
            elif now in ("left over", "out of force"):
                os.system(f"rmmod {self.patch} 2>/dev/null")
            time.sleep(0.02)


class Installing:
    """``suture install`` of one live patch, the first one that this host is given."""

    operation = "install"
    clean = ("not kept", "kept")
    fine = (0, 6)  # of ``suture status --check``: what is kept is not in force
    before = ""

    def __init__(self, module: str) -> None:
        self.patch = named(module)
        self.words = ["install", module]
        self.release = os.uname().release
        self.directory = Path("/var/lib/suture", self.release)

    def prepare(self) -> None:
        self.undo()

    def state(self) -> str:
        try:
            manifest = json.loads((self.directory / f"{self.patch}.json").read_bytes())
        except FileNotFoundError:
            return "not kept"
        except ValueError:
            return "damaged"
        content = (self.directory / f"{manifest['sha256']}.ko").read_bytes()
        return "kept" if hashlib.sha256(content).hexdigest() == manifest["sha256"] else "damaged"

    def world(self) -> str:
        places = (
            self.directory,
            Path("/etc/systemd/system"),
            Path("/etc/systemd/system/multi-user.target.wants"),
        )
        sizes = [
            (file.name.partition("-")[0], file.lstat().st_size)
            for place in places
            for file in place.glob("*")
        ]
        return f"{self.state()} {sorted(sizes)}"

    def said(self, document: dict) -> str:  # type: ignore[type-arg]
        _, listed = quiet(["store", "list", "--json"])
        return (
            "kept"
            if self.patch in [item["entry"]["name"] for item in json.loads(listed)]
            else "not kept"
        )

    def fault(self, end: str) -> str:
        """The store is whole, and the same command now does all that it should have done."""
        checked, found = quiet(["store", "check", "--json"])
        again, text = quiet(self.words)
        enabled = os.system("systemctl --quiet is-enabled suture.service suture-confirm.service")
        if (checked, again, enabled, self.state()) == (0, 0, 0, "kept"):
            return ""
        return f"store check {checked}: {found}; again {again}: {text}; enabled {enabled}; {self.state()}"

    def undo(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        units = Path("/etc/systemd/system")
        for unit in [
            *units.glob("suture*.service"),
            *units.glob("*.wants/suture*.service"),
            *units.glob(".part-*"),
        ]:
            unit.unlink()


Change = Loading | Installing


def named(module: str) -> str:
    return os.path.basename(module).partition(".")[0]


def state(patch: str) -> str:
    """What the kernel shows, without Suture."""
    try:
        with open(f"/sys/kernel/livepatch/{patch}/enabled") as enabled:
            on = enabled.read().strip() == "1"
        with open(f"/sys/kernel/livepatch/{patch}/transition") as transition:
            moving = transition.read().strip() == "1"
    except OSError:
        return "left over" if os.path.exists(f"/sys/module/{patch}") else "gone"
    if moving:
        return "coming" if on else "going"
    return "in force" if on else "out of force"


def bring(module: str, wanted: str) -> None:
    patch = named(module)
    if state(patch) != wanted:
        words = ["load", module] if wanted == "in force" else ["unload", patch]
        status, text = quiet(words)
        if state(patch) != wanted:
            raise SystemExit(f"{words} ended with {status} and left it {state(patch)}: {text}")


def records(start: int) -> str:
    """What the journal has got since it was `start` bytes long, without what differs each time."""
    lines = JOURNAL.read_bytes()[start:].split(b"\n") if JOURNAL.exists() else []
    parts = []
    for line in filter(None, lines):
        try:
            record = json.loads(line)
            parts.append(
                f"{record['phase']} {record['operation']} {record['patch']} {record['result']}"
            )
        except ValueError:
            parts.append(f"torn at {len(line)}")
    return "; ".join(parts)


def examine(change: Change, seen: Seen) -> Row:
    """What the next commands make of it."""
    before = change.state()
    verdict, text = quiet(["status", "--json", "--check"])
    document = json.loads(text)
    reported = change.said(document)
    after = change.state()
    _, recovered = quiet(["recover", "--json"])
    end = change.state()
    final, last = quiet(["status", "--json", "--check"])
    fault = ""
    if reported not in (before, after):
        fault = f"suture said {reported}, and it was {before}"
    elif end not in change.clean or final not in change.fine:
        fault = f"recover left it {end}, verdict {final}: {recovered} {last}"
    return {
        "point": told((len(seen.changing), seen.since)),
        "call": seen.calls[-1],
        "after": before,
        "said": reported,
        "verdict": verdict,
        "interrupted": len(document["interrupted"]),
        "recovered": end,
        "fault": fault or change.fault(end),
    }


def is_at(seen: Seen, point: Point) -> bool:
    """The point, or the first one after it."""
    return (len(seen.changing), seen.since) >= point


def told(point: Point) -> str:
    return f"{point[0]}.{point[1]}"


def kills(change: Change, point: Point, few: list[Point], until: float) -> Iterator[Row]:
    """At each call from a point on, or at each of `few`.  How often is polled differs between runs,
    so that the next change may come early."""
    known: set[tuple[str, str, str]] = set()
    while time.monotonic() < until:
        if few:
            later = [other for other in few if other >= point]
            if not later:
                return
            point = later[0]
        change.prepare()
        start = JOURNAL.stat().st_size if JOURNAL.exists() else 0
        seen = killed(change.words, lambda seen: is_at(seen, point))  # noqa: B023
        if seen.calls[-1] == ENDED:
            return
        point = len(seen.changing), seen.since
        world = (change.world(), records(start), seen.calls[-1])
        if world in known and not change.before and not few:
            yield {
                "point": told(point),
                "call": seen.calls[-1],
                "after": change.state(),
                "again": True,
            }
            change.undo()
            os.truncate(JOURNAL, start)
        else:
            known.add(world)
            yield examine(change, seen)
        point = point[0], point[1] + 1
    print(json.dumps({"next": told(point)}), flush=True)


def run(operation: str, which: str, module: str, before: str = "") -> None:
    change = Installing(module) if operation == "install" else Loading(operation, module, before)
    change.prepare()
    quiet(["recover", "--json"])
    # Once in this process, so that everything is imported; then once traced, for the list of calls.
    nowhere = os.open("/dev/null", os.O_WRONLY)
    kept = os.dup(1), os.dup(2)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for line in (
        change.words,
        ["status", "--json", "--check"],
        ["store", "list", "--json"],
        ["recover", "--json"],
    ):
        main(line)
    sys.stdout.flush()
    os.dup2(kept[0], 1)
    os.dup2(kept[1], 2)
    change.prepare()
    seen = killed(change.words, lambda seen: False)
    print(json.dumps({"calls": len(seen.calls) - 1, "changing": seen.changing}), flush=True)
    which, _, rest = which.partition(":")
    begin, _, seconds = rest.partition(":")
    number, _, since = (begin or "0.1").partition(".")
    chosen = (
        [number for number, call in enumerate(seen.changing, start=1) if call in FEW]
        if which == "few"
        else []
    )
    few = [(number, since) for number in chosen for since in (0, 1)]
    for row in kills(
        change, (int(number), int(since)), few, time.monotonic() + float(seconds or SECONDS)
    ):
        print(json.dumps(row), flush=True)
    change.prepare()


if __name__ == "__main__":
    run(*sys.argv[1:])
