# SPDX-License-Identifier: GPL-2.0-or-later
"""``import suture``: what it offers, and that it costs nothing before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import suture


def modules_after(program: str) -> set[str]:
    """Names of the modules that a program has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_it_imports_nothing_else() -> None:
    loaded = {name.partition(".")[0] for name in modules_after("import suture")}
    assert loaded - modules_after("pass") <= {"suture", *sys.stdlib_module_names}
    assert {name for name in modules_after("import suture") if name.startswith("suture.")} == set()


@pytest.mark.parametrize("name", suture.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(suture, name) is not None
    assert name in dir(suture)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        suture.no_such_name  # noqa: B018


def test_every_public_name_has_one_place() -> None:
    assert set(suture._PLACES) | {"__version__"} == set(suture.__all__)


def test_what_a_host_uses_imports_nothing_of_the_build_side() -> None:
    loaded = modules_after("import suture\nsuture.load, suture.unload, suture.status")
    rooms = {name.split(".")[1] for name in loaded if name.startswith("suture.")}
    assert rooms <= {"api", "core", "elf", "errors", "host", "model", "module", "arch"}
