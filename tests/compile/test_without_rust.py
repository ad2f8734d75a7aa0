# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel with ``CONFIG_RUST=y`` is prepared without Rust: nothing that C is made of depends on what
Rust's tools would make."""

from __future__ import annotations

import re
import subprocess

import pytest

from suture.kernel.config import assignments
from suture.workspace.prepare import Workspace

MADE_FOR_RUST = re.compile(r"generated\.(h|rs)|\bbindings?\b|\bhelpers?_generated")


@pytest.fixture(scope="module")
def rust_workspace(newest_workspace: Workspace) -> Workspace:
    options = assignments(newest_workspace.target.config.read_bytes())
    assert options["CONFIG_RUST"] == "y", "the newest kernels of Debian have it"
    return newest_workspace


def test_c_code_sees_the_option(rust_workspace: Workspace) -> None:
    """As `suture.workspace.configuration` compares it; here is what the compiler reads."""
    generated = (rust_workspace.tree / "include/generated/autoconf.h").read_text()
    assert "#define CONFIG_RUST 1\n" in generated


def test_no_c_file_includes_what_rusts_tools_make(rust_workspace: Workspace) -> None:
    command = ["grep", "-rE", r"^\s*#\s*include\s", "--include=*.c", "--include=*.h"]
    directories = [
        path.name
        for path in rust_workspace.tree.iterdir()
        if path.is_dir() and path.name not in ("rust", "samples", "tools", "scripts")
    ]
    lines = subprocess.run(
        [*command, *directories],
        cwd=rust_workspace.tree,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    ).stdout.splitlines()
    assert len(lines) > 100_000
    about_rust = [line for line in lines if "rust" in line.partition("include")[2]]
    assert [line for line in about_rust if MADE_FOR_RUST.search(line)] == []


def test_nothing_of_rust_was_compiled(rust_workspace: Workspace) -> None:
    assert list((rust_workspace.tree / "rust").rglob("*.o")) == []
    assert list((rust_workspace.tree / "rust").rglob("*.rmeta")) == []
