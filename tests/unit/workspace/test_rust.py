# SPDX-License-Identifier: GPL-2.0-or-later
"""Stand-ins for Rust's tools answer as the target's configuration has it, and compile nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

from suture.workspace.rust import stand_ins

OPTIONS = {
    "CONFIG_RUST": "y",
    "CONFIG_RUSTC_VERSION_TEXT": '"rustc 1.85.0 (4d91de4e4 2025-02-17) (built from it\'s source)"',
    "CONFIG_BINDGEN_VERSION_TEXT": '"bindgen 0.71.1"',
    "CONFIG_RUSTC_LLVM_VERSION": "190107",
}


def said(directory: Path, *words: str) -> tuple[int, str]:
    run = subprocess.run(
        [str(directory / words[0]), *words[1:]], capture_output=True, text=True, check=False
    )
    return run.returncode, run.stdout + run.stderr


def test_a_target_without_rust_needs_none(tmp_path: Path) -> None:
    assert stand_ins({"CONFIG_RUST": "n"}, tmp_path / "rust") == ()
    assert stand_ins({}, tmp_path / "rust") == ()
    assert not (tmp_path / "rust").exists()


def test_they_say_which_tools_built_the_kernel(tmp_path: Path) -> None:
    directory = tmp_path / "rust"
    variables = stand_ins(OPTIONS, directory)
    assert variables == (f"RUSTC={directory}/rustc", f"BINDGEN={directory}/bindgen")
    version = "rustc 1.85.0 (4d91de4e4 2025-02-17) (built from its source)\n"
    assert said(directory, "rustc", "--version") == (0, version)
    # scripts/rustc-llvm-version.sh, scripts/rust_is_available.sh
    found = said(directory, "rustc", "--version", "--verbose")
    assert found == (0, f"{version}LLVM version: 19.1.7\n")
    assert said(directory, "bindgen", "--version") == (0, "bindgen 0.71.1\n")
    assert said(directory, "bindgen", "--version", "workaround") == (0, "bindgen 0.71.1\n")
    header = "scripts/rust_is_available_bindgen_libclang.h"
    assert said(directory, "bindgen", header) == (0, "clang version 19.1.7\n")


def test_the_source_of_the_core_library_is_where_it_is_looked_for(tmp_path: Path) -> None:
    stand_ins(OPTIONS, tmp_path)
    status, root = said(tmp_path, "rustc", "-Z", "x", "--print", "sysroot")
    assert status == 0
    assert Path(root.strip(), "lib/rustlib/src/rust/library/core/src/lib.rs").exists()


def test_they_compile_nothing(tmp_path: Path) -> None:
    stand_ins(OPTIONS, tmp_path)
    for tool, words in (("rustc", ["--crate-name", "core", "lib.rs"]), ("bindgen", ["bindings.h"])):
        status, text = said(tmp_path, tool, *words)
        assert status == 1
        assert "cannot" in text
