# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Debian packages and the archive of one file are made of."""

from __future__ import annotations

import ast
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from scripts import deb, system_files, wheels
from scripts.debian_version import debian_version
from suture.core.system_hooks import HOOKS
from suture.host.deployment import PACKAGED
from suture.host.packages import Purpose
from tests.unit.test_rooms import PACKAGE, ROOMS

DEBIAN = Path(__file__).resolve().parents[2] / "packaging" / "debian"
BELOW = "usr/lib/python3/dist-packages/suture/"

VERSIONS = (
    *("1.0.dev1", "1.0a1.dev2", "1.0a1", "1.0a1.post3", "1.0b1", "1.0rc1", "1.0rc2", "1.0"),
    *("1.0.post1.dev2", "1.0.post1", "1.0.1", "1.1", "1.10", "1!0.1"),
)


def rooms(package: str) -> set[str]:
    """The rooms that a package has."""
    listed = (DEBIAN / f"{package}.install").read_text().split()
    return {line.removeprefix(BELOW).removesuffix(".py") for line in listed if BELOW in line}


def test_versions_are_in_the_same_order_for_dpkg() -> None:
    assert sorted(VERSIONS, key=Version) == list(VERSIONS)
    for older, newer in itertools.combinations(map(debian_version, VERSIONS), 2):
        subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=True)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.1.0", "0.1.0"),
        ("1.0rc1", "1.0~rc1"),
        ("1.0.dev3", "1.0~~dev3"),
        ("1.0.post1", "1.0+post1"),
    ],
)
def test_a_version_for_debian(version: str, expected: str) -> None:
    assert debian_version(version) == expected


def test_a_local_version_is_for_nobody_else() -> None:
    with pytest.raises(ValueError, match="local"):
        debian_version("1.0+mine")


def test_each_room_is_in_one_of_the_packages() -> None:
    runtime, building = rooms("suture") - {"__init__", "py.typed"}, rooms("suture-build")
    assert runtime & building == set()
    assert runtime | building == set(ROOMS)


def test_the_runtime_half_imports_the_other_only_where_it_is_used() -> None:
    building = rooms("suture-build")
    upward = {
        f"{path.relative_to(PACKAGE)}: {room}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0].removesuffix(".py") in rooms("suture") - {"formats"}
        for room in imported_at_start(path)
        if room in building
    }
    assert upward == set()


def imported_at_start(path: Path) -> Iterator[str]:
    """Yield the rooms that a module imports when it is imported."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("suture."):
            yield (node.module or "").split(".")[1]


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime half alone."""
    root = tmp_path_factory.mktemp("half")
    for room in rooms("suture"):
        source = PACKAGE / room
        if source.is_dir():
            shutil.copytree(source, root / "suture" / room)
        else:
            file = source if source.exists() else source.with_suffix(".py")
            (root / "suture").mkdir(exist_ok=True)
            shutil.copy(file, root / "suture")
    return root


@pytest.mark.parametrize("words", ["--help", "status", "list", "doctor --for load", "build --help"])
def test_the_runtime_half_does_without_the_other(words: str, half: Path) -> None:
    command = [sys.executable, "-m", "suture", *words.split()]
    environment = {**os.environ, "PYTHONPATH": str(half)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout != ""


def test_what_the_package_brings_is_what_suture_would_write(tmp_path: Path) -> None:
    """So that 'suture store hooks' on such a host has nothing to write."""
    system_files.main(str(tmp_path))
    for hook in HOOKS:
        path = tmp_path / "etc" / hook.path
        assert path.read_text() == PACKAGED.fill(hook.template)
        assert path.stat().st_mode & 0o777 == hook.mode
    for script in (DEBIAN / "suture.preinst", DEBIAN / "suture.postrm"):
        subprocess.run(["sh", "-n", script], check=True)
    gone = (DEBIAN / "suture.preinst").read_text()
    assert [hook.path for hook in HOOKS if f"/etc/{hook.path}" not in gone] == []


def test_the_other_package_has_what_debian_lacks() -> None:
    names = wheels.build_side()
    assert {"iced-x86", "msgspec", "peewee", "vmlinux-to-elf"} <= {*names}
    assert not {*names} & {*wheels.base(), *wheels.NOT_SHIPPED}
    assert wheels.locked(names).count("==") >= len(names)


def test_programs_that_build_are_needed_and_those_that_test_are_recommended() -> None:
    text = deb.substvars(DEBIAN.parents[1] / "pyproject.toml")
    variables = dict(line.split("=", 1) for line in text.splitlines())
    assert "python3-click (>= 8.1.3)" in variables["suture:Libraries"]
    assert "rich" not in variables["suture:Libraries"]
    assert variables["suture:Embellishing"] == "python3-rich (>= 13.3.1)"
    assert "flex" in variables["suture:Building"].split(", ")
    assert "qemu-system-x86" in variables["suture:Testing"].split(", ")
    assert not {"dpkg", "util-linux"} & {*deb.packages(Purpose.BUILDING)}
