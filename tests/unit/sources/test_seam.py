# SPDX-License-Identifier: GPL-2.0-or-later
"""What is one distribution's own is in the files that are meant to have it, and nowhere else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "src" / "suture"

WORDS = re.compile(
    r"""\bapt\b|\bapt_|dpkg|\bdebs?\b|deb822|debian|ubuntu|mmdebstrap|initramfs[-_]tools
    |\blinux-(?:image|headers|source|modules|binary|base)-|-dev\b|busybox-static|\bgcc-\d""",
    re.IGNORECASE | re.VERBOSE,
)
"""Package tools, names of packages, and names of ours that are made of them."""

ITS_OWN = {
    "sources/apt.py": "what every source that comes as .deb packages shares",
    "sources/apt_entries.py": "the entries of apt's list of sources",
    "sources/apt_sources.py": "source packages that apt gets",
    "sources/debian.py": "Debian's kernels",
    "sources/debian_patches.py": "patches in the packaging of Debian's kernels",
    "sources/debian_sources.py": "the source packages of Debian's kernels",
    "sources/debian_toolchains.py": "Debian's compilers",
    "sources/debian_suites.py": "the package lists of Debian's suites",
    "host/distributions/debian.py": "Debian's packages for what Suture uses",
    "repo/deb.py": "live patches wrapped as Debian's packages",
    "lab/debian.py": "a guest that is a small Debian",
    "core/changelog.py": "the changelogs in Debian's packages of kernels",
    "core/system_hooks.py": "the directories in which Debian's tools look for hooks",
    "core/initramfs/initramfs_tools.py": "the hook for initramfs-tools",
}
"""Whole files, with the reason."""

REGISTRIES = {
    "sources/registry.py": r"DebianArchives|suture\.sources\.debian",
    "host/distributions/__init__.py": r"DebianHost|suture\.host\.distributions\.debian",
    "lab/guests.py": r"DebianGuest|suture\.lab\.debian",
    "core/initramfs/__init__.py": r"suture\.core\.initramfs\.initramfs_tools",
}
"""Tables of what there is; the names by which they hold it."""

TEXTS = {
    # The Python package python-debian, which the extra `build` brings.
    "host/packages.py": {"debian"},
    # The command that wraps live patches as Debian's packages.
    "cli/repo_patches.py": {
        "deb",
        "suture.repo.deb",
        "suture repo deb patches fix --maintainer 'Ops <ops@example.org>'",
        "wrap a live patch for apt",
        "Wrap a published live patch as a Debian package, whose installation runs 'suture install'."
        "\n\n    The package carries no trust of its own: hosts believe whoever signs the archive that"
        " it is in,\n    and a withdrawal does not reach those that do not follow the repository.\n"
        "    ",
    },
    # A refusal that scripts know by its code; it is raised by initramfs_tools.py alone.
    "errors/store.py": {
        "INITRAMFS_TOOLS_MISSING",
        "initramfs-tools-missing",
        "A hook of initramfs-tools puts live patches into the initramfs.",
        "Install initramfs-tools, or do without: at boot, suture.service loads them before the "
        "network is up.",
    },
}
"""Texts that have such a word for another reason."""

EXAMPLE = re.compile(r"such as [^,;)]*")
"""A message or a help text may name a distribution for an example, and says so in these words."""


def texts(path: Path) -> Iterator[str]:
    """Names and texts of the program itself.

    Comments and docstrings may cite whom they like, but for the docstrings of commands: those are
    help texts.
    """
    tree = ast.parse(path.read_text())
    if "cli" not in path.relative_to(PACKAGE).parts:
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value = ast.Constant(None)
    yield from names(tree)


def names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(name) | ast.Attribute(attr=name) | ast.arg(name):
                yield name
            case ast.alias(name, other):
                yield f"{name} {other}" if other else name
            case ast.ImportFrom(module=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Constant(str(text)):
                yield text


def found_in(path: Path) -> set[str]:
    name = str(path.relative_to(PACKAGE))
    registered = re.compile(REGISTRIES.get(name, "(?!)"))
    return {
        text
        for text in texts(path)
        if WORDS.search(registered.sub("", EXAMPLE.sub("", text)))
        and text not in TEXTS.get(name, set())
    }


def files() -> list[Path]:
    return sorted(
        path for path in PACKAGE.rglob("*.py") if str(path.relative_to(PACKAGE)) not in ITS_OWN
    )


def test_no_word_of_one_distribution_stands_anywhere_else() -> None:
    found = {str(path.relative_to(PACKAGE)): found_in(path) for path in files()}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_what_is_allowed_is_there() -> None:
    for name in (*ITS_OWN, *REGISTRIES, *TEXTS):
        assert (PACKAGE / name).is_file(), name
    for name, allowed in TEXTS.items():
        assert allowed <= set(texts(PACKAGE / name)), name


@pytest.mark.parametrize(
    "text",
    [
        "from suture.sources import apt",
        "from debian.deb822 import Deb822",
        "run(['dpkg-deb', '-x', path])",
        "NAME = f'linux-image-{release}'",
        "REMEDY = 'install libelf-dev'",
        "COMPILER = 'gcc-12'",
        "class DebianThing: pass",
        "REMEDY = 'Run apt-get update.'",
    ],
)
def test_what_would_be_found(text: str) -> None:
    assert any(WORDS.search(name) for name in names(ast.parse(text)))


def test_other_files_than_programs_have_none() -> None:
    others = [
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and WORDS.search(path.read_text())
    ]
    assert others == []
