# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of style that a program can check; CONTRIBUTING.md has the others."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "suture"

Definition = ast.ClassDef | ast.FunctionDef


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Yield every node of the package, with its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            yield str(path.relative_to(PACKAGE)), node


def definitions() -> Iterator[tuple[str, Definition]]:
    """Yield every class and function, with its place."""
    for path, node in nodes():
        if isinstance(node, Definition):
            yield f"{path}:{node.lineno} {node.name}", node


def test_a_type_name_is_defined_once() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for place, node in definitions():
        if isinstance(node, ast.ClassDef):
            places[node.name.lstrip("_")].append(place)
    assert [found for found in places.values() if len(found) > 1] == []
