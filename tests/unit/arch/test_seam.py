# SPDX-License-Identifier: GPL-2.0-or-later
"""What is one architecture's own is in its folder, and nowhere else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "src" / "suture"
FOLDER = PACKAGE / "arch" / "x86_64"
REGISTRY = PACKAGE / "arch" / "__init__.py"

WORDS = re.compile(
    r"""x86|\biced|EM_386|endbr|bzimage|retpoline|fentry__|altinstr|parainstructions|smp_locks
    |orc_unwind|qemu-system-|ttyS\d|q35|__x64_|__ia32_
    |\b[re](?:ax|bx|cx|dx|si|di|bp|sp|ip)\b|%r\d|\bint3\b|\bPC32\b|\bPLT32\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""What only x86 kernels have, and names of ours that are made of it."""

CODE = (b"\xe8", b"\xe9", b"\x0f\x1f", b"\xf3\x0f\x1e\xfa", b"\x90", b"\xcc")
"""Instructions: a call, a jump, no-ops, endbr64, int3."""

NUMBERS = {0xE8, 0xE9, 62}
"""A call, a jump, the ELF machine."""

ALLOWED = {
    # Python packages that the extra `build` brings.
    "host/packages.py": {"iced_x86"},
    # What a distribution calls the package of each architecture's QEMU.
    "host/distributions/debian.py": {"qemu-system-x86_64", "qemu-system-x86"},
}
"""Texts that have such a word for another reason."""


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if FOLDER not in path.parents)


def names(tree: ast.AST) -> Iterator[str]:
    """Names and texts of the program itself: comments and docstrings cite the kernel's files."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(name) | ast.Attribute(attr=name) | ast.arg(name):
                yield name
            case ast.alias(name, other):
                yield f"{name} {other or ''}"
            case ast.ImportFrom(module=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Constant(str(text)):
                yield text
            case ast.Constant(bytes(data)):
                yield data.decode("latin-1")


def without_docstrings(path: Path) -> ast.Module:
    """Texts that stand alone are for people."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
    return tree


def words(path: Path) -> set[str]:
    allowed = ALLOWED.get(str(path.relative_to(PACKAGE)), set())
    found = {name for name in names(without_docstrings(path)) if WORDS.search(name)} - allowed
    return {name for name in found if path != REGISTRY or "x86_64" not in name.lower()}


def machine_code(path: Path) -> list[object]:
    constants = (
        node.value for node in ast.walk(without_docstrings(path)) if isinstance(node, ast.Constant)
    )
    return [
        value
        for value in constants
        if (type(value) is int and value in NUMBERS) or (isinstance(value, bytes) and value in CODE)
    ]


def test_no_word_of_one_architecture_stands_outside_its_folder() -> None:
    found = {str(path.relative_to(PACKAGE)): words(path) for path in sources()}
    assert {path: names for path, names in found.items() if names} == {}


def test_no_machine_code_stands_outside_its_folder() -> None:
    found = {str(path.relative_to(PACKAGE)): machine_code(path) for path in sources()}
    assert {path: values for path, values in found.items() if values} == {}


@pytest.mark.parametrize(
    "text",
    [
        "from iced_x86 import Decoder",
        "R_X86_64_64 = 1",
        "PROGRAM = 'qemu-system-x86_64'",
        "SECTION = '.altinstructions'",
        "register = Register.RAX",
        "code.startswith(b'\\xe8')",
        "machine == 62",
    ],
)
def test_what_would_be_found(tmp_path: Path, text: str) -> None:
    path = tmp_path / "made.py"
    path.write_text(f'"""Cites arch/x86/kernel/module.c."""\n{text}\n')
    found = {name for name in names(without_docstrings(path)) if WORDS.search(name)}
    assert found or machine_code(path)


def test_the_registry_names_each_folder_once() -> None:
    text = REGISTRY.read_text()
    for folder in (path.parent.name for path in REGISTRY.parent.glob("*/__init__.py")):
        assert text.count(f"from suture.arch.{folder} import") == 1


def test_a_folder_is_imported_by_the_registry_alone() -> None:
    importing = {
        str(path.relative_to(PACKAGE))
        for path in sources()
        if re.search(rf"suture\.arch\.{FOLDER.name}\b", path.read_text())
    }
    assert importing == {"arch/__init__.py"}
