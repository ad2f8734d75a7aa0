# SPDX-License-Identifier: GPL-2.0-or-later
"""The order of the rooms: a module imports from its own room and from rooms below it, no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "suture"

ROOMS = (
    "errors",
    "arch",
    "model",
    "host",
    "elf",
    "objects",
    "module",
    "core",
    "repo",
    "fleet",
    "kernel",
    "sources",
    "formats",
    "workspace",
    "diff",
    "verify",
    "state",
    "link",
    "builder",
    "lab",
    "report",
    "fixes",
    "api",
    "rebuild",
    "doctor",
    "demo",
    "compat",
    "cli",
    "__main__",
)
"""From the bottom up.  ``CONTRIBUTING.md`` says what each is for."""


def imports(path: Path) -> Iterator[str]:
    """Yield the rooms that a file imports from, inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "suture":
            yield from (alias.name for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("suture."):
            yield (node.module or "").split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.split(".")[1] for alias in node.names if alias.name.startswith("suture.")
            )


def files_of(room: str) -> list[Path]:
    directory = PACKAGE / room
    return sorted(directory.rglob("*.py")) if directory.is_dir() else [directory.with_suffix(".py")]


def test_every_room_has_its_place_in_the_order() -> None:
    found = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    found |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert found == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_from_rooms_below_it_only(room: str) -> None:
    below = {*ROOMS[: ROOMS.index(room)], room}
    upward = {
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in files_of(room)
        for other in imports(path)
        if other not in below
    }
    assert upward == set()
