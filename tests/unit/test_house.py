# SPDX-License-Identifier: GPL-2.0-or-later
"""The house: what is installed, what is locked, and what README says of it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import environment, packages, test_levels
from suture.host.distributions.debian import DebianHost
from suture.host.packages import BUILD_MODULES, FLEET_MODULES, FOLLOW_MODULES

TOP = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
LOCKS = tuple(TOP / f"requirements{part}.lock" for part in ("", "-dev", "-pages"))
RUNTIME_ROOMS = (
    "cli",
    "compat",
    "core",
    "doctor",
    "fleet",
    "arch/__init__.py",
    "arch/architecture.py",
    "arch/machine.py",
    "arch/relocations.py",
    "arch/syscalls.py",
    "arch/x86_64/__init__.py",
    "arch/x86_64/relocations.py",
    "arch/x86_64/syscalls.py",
    "elf/reader.py",
    "elf/object.py",
    "host",
    "module/inspect.py",
    "errors",
    "model.py",
)

SERVER = "fleet/serving.py"
"""Needs the extra ``fleet``, and is imported when a server begins."""


def imported(paths: Iterator[Path], *, at_start_only: bool) -> set[str]:
    """Top-level names of what Python files import.

    :param at_start_only: leave out what is imported in functions, or under ``if TYPE_CHECKING``.
    """
    found: set[str] = set()
    for path in paths:
        tree = ast.parse(path.read_text())
        nodes = tree.body if at_start_only else list(ast.walk(tree))
        for node in nodes:
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"suture"}


def distributions(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=~\[ ]", requirement)[0] for requirement in requirements}


def normalised(distribution: str) -> str:
    """As package indexes compare names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def modules_of(requirements: list[str]) -> set[str]:
    """The modules that distributions bring."""
    wanted = distributions(requirements)
    return {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if wanted & {normalised(owner) for owner in owners}
    }


def test_every_import_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    declared = modules_of(
        [
            *PROJECT["dependencies"],
            *extras["build"],
            *extras["fleet"],
            *extras["follow"],
        ]
    )
    assert imported((TOP / "src").rglob("*.py"), at_start_only=False) <= declared


@pytest.mark.parametrize("room", RUNTIME_ROOMS)
def test_the_runtime_needs_the_base_install_alone(room: str) -> None:
    place = TOP / "src" / "suture" / room
    files = [place] if place.suffix else place.rglob("*.py")
    needed = (path for path in files if path != TOP / "src" / "suture" / SERVER)
    assert imported(needed, at_start_only=True) <= modules_of(PROJECT["dependencies"])


def test_loading_live_patches_imports_nothing_of_the_build_side() -> None:
    rooms = [path.parent.name for path in (TOP / "src" / "suture").glob("*/__init__.py")]
    program = (
        "import sys, importlib, pkgutil, suture.core, suture.module\n"
        "for room in (suture.core, suture.module):\n"
        "    for found in pkgutil.iter_modules(room.__path__, f'{room.__name__}.'):\n"
        "        importlib.import_module(found.name)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    ours = {room for room in rooms if f"suture.{room}" in loaded}
    assert ours == {"arch", "core", "elf", "errors", "host", "module"}
    assert not {name.partition(".")[0] for name in loaded} & modules_of(
        PROJECT["optional-dependencies"]["build"]
    )


def test_the_build_extra_is_known_by_its_modules() -> None:
    declared = PROJECT["optional-dependencies"]["build"]
    assert modules_of(declared) >= BUILD_MODULES
    owners = importlib.metadata.packages_distributions()
    owning = {normalised(owner) for module in BUILD_MODULES for owner in owners[module]}
    assert distributions(declared) <= owning
    assert modules_of(PROJECT["optional-dependencies"]["fleet"]) == FLEET_MODULES


def test_the_follow_extra_is_known_by_its_modules() -> None:
    extras = PROJECT["optional-dependencies"]
    assert modules_of([*extras["follow"], *extras["dev"]]) >= FOLLOW_MODULES


def test_everything_declared_is_locked_with_hashes() -> None:
    running, developing, looking = (locked_with_hashes(lock) for lock in LOCKS)
    extras = PROJECT["optional-dependencies"]
    assert distributions(extras["follow"]) <= running
    assert (
        distributions([*PROJECT["dependencies"], *extras["build"], *extras["fleet"], "hatchling"])
        <= running
    )
    assert distributions(extras["dev"]) <= developing
    assert distributions(extras["pages"]) <= looking
    assert not running & developing


def locked_with_hashes(lock: Path) -> set[str]:
    text = lock.read_text()
    entry = r"^([a-z0-9-]+)==\S+( ; [^\\\n]+)? \\\n    --hash=sha256:[0-9a-f]{64}"
    locked = [match[1] for match in re.finditer(entry, text, re.MULTILINE)]
    assert len(locked) == len(re.findall(r"^[^#\s]", text, re.MULTILINE))
    return set(locked)


def test_the_lock_names_no_place_to_download_from() -> None:
    for lock in LOCKS:
        assert not re.search(r"^--|://", lock.read_text(), re.MULTILINE)


def test_what_is_installed_here_is_what_is_locked() -> None:
    lock = dict(
        re.findall(r"^([a-z0-9-]+)==(\S+)", (TOP / "requirements.lock").read_text(), re.MULTILINE)
    )
    extras = PROJECT["optional-dependencies"]
    runtime = distributions(PROJECT["dependencies"] + extras["build"] + extras["follow"])
    assert {name: importlib.metadata.version(name) for name in runtime} == {
        name: lock[name] for name in runtime
    }


def test_readme_names_the_packages_to_install() -> None:
    readme = (TOP / "README.md").read_text().replace(" \\\n    ", " ")
    debian = DebianHost()
    assert f"$ sudo {debian.install_line(debian.needed_packages())}\n" in readme


def test_the_demonstration_installs_nothing_that_only_tests_need() -> None:
    debian = DebianHost()
    developing = packages.wanted_packages(["--development"])
    assert packages.wanted_packages([]) == debian.needed_packages()
    assert set(developing) - set(debian.needed_packages()) >= {"git", "softhsm2"}
    command = ["make", "--dry-run", "--always-make", "demo"]
    run = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout
    assert "requirements.lock" in run
    assert not re.search(r"requirements-dev|--development", run)


def test_dpkg_is_asked_what_is_missing() -> None:
    assert packages.missing_packages(("dpkg", "no-such-package-anywhere", "bash")) == (
        "no-such-package-anywhere",
    )


def test_set_up_without_root_prints_the_line_and_stops(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import packages, shutil\n"
        "packages.wanted_packages = lambda _: ('no-such-package-anywhere',)\n"
        "packages.become_root = lambda: None\n"
        "sys.exit(packages.main([]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(TOP / "scripts")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        "\n  sudo apt-get install --no-install-recommends no-such-package-anywhere\n" in done.stdout
    )


def test_pip_is_tried_again_without_additional_indexes_only() -> None:
    settings = (
        ":env:.timeout='9'\nglobal.cert='/a.pem'\nglobal.extra-index-url='file:///x\\nfile:///y'\n"
    )
    settings += "global.index-url='https://main.example/simple'\n"
    assert environment.without_additional_indexes(
        settings, {"HOME": "/h", "PIP_FIND_LINKS": "/w"}
    ) == {
        "HOME": "/h",
        "PIP_CERT": "/a.pem",
        "PIP_INDEX_URL": "https://main.example/simple",
        "PIP_CONFIG_FILE": "/dev/null",
    }


def test_pip_is_not_tried_again_with_the_same_settings() -> None:
    assert environment.without_additional_indexes("global.cert='/a.pem'\n", {"HOME": "/h"}) is None


SAMPLE = """
import pytest
def test_one(): pass
def test_two(): assert False
@pytest.mark.skip
def test_three(): pass
@pytest.fixture
def broken(): raise OSError
def test_four(broken): pass
"""


def level(tmp_path: Path, content: str) -> test_levels.Outcome:
    (tmp_path / "test_sample.py").write_text(content)
    report = tmp_path / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        f"--junitxml={report}",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    return test_levels.counted(done.returncode, report)


def test_a_levels_tests_are_counted(tmp_path: Path) -> None:
    assert level(tmp_path, SAMPLE) == test_levels.Outcome(ok=False, passed=1, failed=2, skipped=1)


def test_a_level_without_tests_is_no_failure(tmp_path: Path) -> None:
    assert level(tmp_path, "") == test_levels.Outcome(ok=True)


def test_a_level_that_cannot_be_collected_is_a_failure(tmp_path: Path) -> None:
    assert level(
        tmp_path, "import nothing_of_that_name\ndef test_one(): pass"
    ) == test_levels.Outcome(ok=False, failed=1)


def test_the_last_line_counts_all_tests() -> None:
    unit, lint = (
        next(found for found in test_levels.LEVELS if found.name == name)
        for name in ("unit", "lint")
    )
    good = (unit, test_levels.Outcome(ok=True, passed=12), 3.0)
    assert test_levels.summary([(lint, test_levels.Outcome(ok=True), 1.0), good]).splitlines()[
        -1
    ] == ("12 passed, 0 failed")
    bad = (unit, test_levels.Outcome(ok=False, passed=1, failed=2, skipped=3), 3.0)
    assert test_levels.summary([good, bad]).splitlines()[-1] == "13 passed, 2 failed, 3 skipped"
