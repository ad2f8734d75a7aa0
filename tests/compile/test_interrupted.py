# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds that are stopped at any moment, and builds at the same time."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from suture.workspace.prepare import Workspace
from tests.command import Place
from tests.patches import Edit, diff

SOURCE = "fs/proc/meminfo.c"
PHASES = ("Compiling the original", "Compiling the patched side", "Comparing", "Linking")


def patch(place: Place, tree: Path, label: str) -> None:
    """A patch that no other test has built: `label` makes its string."""
    place.patch(diff(tree, Edit(SOURCE, '"MemTotal:       "', f'"{label}: "')))


def stop(
    place: Place, phase: str, number: signal.Signals, *, wait_for: str = ""
) -> subprocess.CompletedProcess[str]:
    """Send a signal to a build as soon as it says that a phase has begun.

    :param wait_for: further, until something of this name is in the cache.
    """
    process = place.start(*place.build("my.patch"))
    assert process.stderr is not None
    seen = ""
    while phase not in seen:
        character = process.stderr.read(1)
        assert character, f"it ended before {phase}: {seen}"
        seen += character
    while wait_for and not list(place.cache.glob(wait_for)):
        time.sleep(0.01)
    process.send_signal(number)
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, seen + stderr)


def left_running(place: Place) -> list[str]:
    """Processes that the place's runs have started: they have its temporary directory in their
    environment."""
    mark = f"TMPDIR={place.temporary}".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environment.read_bytes().split(b"\0"):
                found.append((environment.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended meanwhile, or is another user's
    return found


def check_interrupted(place: Place, done: subprocess.CompletedProcess[str]) -> None:
    assert left_running(place) == []
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert re.search(
        r"^error\[interrupted\]: suture build: stopped by a signal$", done.stderr, re.MULTILINE
    )
    assert "Run the same command again" in done.stderr
    assert "Traceback" not in done.stderr


def check_succeeds(place: Place) -> None:
    done = place.run(*place.build("my.patch"))
    assert done.returncode == 0, done.stderr
    assert place.run("inspect", "livepatch_my.ko").returncode == 0


@pytest.fixture
def fresh(place: Place, workspace: Workspace) -> Place:
    """A place with a workspace of its own in which nothing has been compiled."""
    place.with_workspace(workspace, {SOURCE: (workspace.tree / SOURCE).read_bytes()})
    return place


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        *((phase, signal.SIGINT) for phase in PHASES),
        (PHASES[1], signal.SIGHUP),
        (PHASES[3], signal.SIGTERM),
    ],
)
def test_a_signal_ends_a_build_in_any_phase_and_leaves_nothing(
    fresh: Place, workspace: Workspace, phase: str, number: signal.Signals
) -> None:
    patch(fresh, workspace.tree, "SutTotal")
    before = fresh.contents()
    check_interrupted(fresh, stop(fresh, phase, number))
    assert fresh.contents() == before
    check_succeeds(fresh)


@pytest.mark.parametrize("phase", [PHASES[0], PHASES[3]])
def test_a_killed_build_does_not_disturb_the_next(
    fresh: Place, workspace: Workspace, phase: str
) -> None:
    patch(fresh, workspace.tree, "SutTotal")
    wait_for = "link/*/*/livepatch_glue.o" if phase == "Linking" else ""
    done = stop(fresh, phase, signal.SIGKILL, wait_for=wait_for)
    assert done.returncode == -signal.SIGKILL
    assert not list(fresh.directory.glob("*.ko"))
    check_succeeds(fresh)
    while left_running(fresh):  # what the killed run had started comes to its end by itself
        time.sleep(0.1)
    check_succeeds(fresh)
    assert list(fresh.directory.glob(".part-*")) == []
    assert [path.name for path in (fresh.cache / "link").iterdir()] == [".lock"]


def test_a_second_ctrl_c_changes_nothing(fresh: Place, workspace: Workspace) -> None:
    patch(fresh, workspace.tree, "SutTotal")
    before = fresh.contents()
    process = fresh.start(*fresh.build("my.patch"))
    assert process.stderr is not None
    seen = ""
    while "Compiling the original" not in seen:
        seen += process.stderr.read(1)
    for _ in range(20):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    stdout, stderr = process.communicate()
    check_interrupted(
        fresh, subprocess.CompletedProcess(process.args, process.returncode, stdout, seen + stderr)
    )
    assert fresh.contents() == before


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.2, 0.4])
def test_ctrl_c_while_the_program_starts_brings_no_traceback(
    fresh: Place, workspace: Workspace, delay: float
) -> None:
    patch(fresh, workspace.tree, "SutTotal")
    process = fresh.start(*fresh.build("my.patch"))
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode in (1, -signal.SIGINT)
    assert "suture/cli" not in stderr, "before it has begun, Python itself may say where it was"


def test_a_first_build_that_is_stopped_leaves_no_workspace(
    place: Place, workspace: Workspace
) -> None:
    """Its later phases are stopped in test_workspace_interrupted.py."""
    place.own("workspaces")
    patch(place, workspace.tree, "SutTotal")
    before = place.contents()
    check_interrupted(place, stop(place, "Unpacking the source", signal.SIGINT))
    assert place.contents() == before
    assert list((place.cache / "workspaces").glob("*/ready")) == []


def test_two_builds_of_one_patch_at_the_same_time(fresh: Place, workspace: Workspace) -> None:
    """Also into the same file."""
    patch(fresh, workspace.tree, "SutTotal")
    both = [fresh.start(*fresh.build("my.patch")) for _ in range(2)]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert {path.name for path in fresh.directory.iterdir()} == {"livepatch_my.ko", "my.patch"}
    assert fresh.run("inspect", "livepatch_my.ko").returncode == 0


def test_two_builds_of_different_patches_at_the_same_time(
    fresh: Place, workspace: Workspace
) -> None:
    for number, label in enumerate(("SutFirst", "SutSecond")):
        text = diff(workspace.tree, Edit(SOURCE, '"MemTotal:       "', f'"{label}:"'))
        fresh.patch(text, f"{number}.patch")
    both = [
        fresh.start(*fresh.build(f"{number}.patch", "-o", f"{number}.ko")) for number in range(2)
    ]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    for number, content in enumerate((b"SutFirst:", b"SutSecond:")):
        assert content in (fresh.directory / f"{number}.ko").read_bytes()
