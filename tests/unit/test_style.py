# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of style that a program can check; CONTRIBUTING.md has the others."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "suture"

Definition = ast.ClassDef | ast.FunctionDef
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


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


def test_a_docstring_begins_with_a_sentence() -> None:
    fields = re.compile(r"\s*:(param|ivar|return|raises)\b")
    texts = ((place, ast.get_docstring(node) or "") for place, node in definitions())
    assert [place for place, text in texts if fields.match(text)] == []


def public(tree: ast.Module | ast.ClassDef, place: str) -> Iterator[tuple[str, Definition]]:
    """Yield the public definitions of a module or a class; functions inside functions are none."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition):
            where = f"{place}:{node.lineno} {node.name}"
            if not node.name.startswith("_"):
                yield where, node
            if isinstance(node, ast.ClassDef):
                yield from public(node, place)


def test_what_is_public_has_a_docstring() -> None:
    lacking = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module, place = ast.parse(path.read_text()), str(path.relative_to(PACKAGE))
        definitions: list[tuple[str, ast.Module | Definition]] = [
            (place, module),
            *public(module, place),
        ]
        lacking += [where for where, node in definitions if not ast.get_docstring(node)]
    assert lacking == []


def test_a_comprehension_with_two_loops_stands_in_one_line() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path, node in nodes()
        if isinstance(node, COMPREHENSIONS)
        and len(node.generators) > 1
        and node.end_lineno != node.lineno
    ]
    assert found == []
