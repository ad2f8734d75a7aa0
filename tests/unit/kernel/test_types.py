# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes of structures from BTF that pahole made, against pahole's own reading of the debug
information."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suture.errors import Refusal
from suture.kernel.types import struct_sizes
from tests.unit.toolchain import KERNEL

pytestmark = pytest.mark.skipif(shutil.which("pahole") is None, reason="pahole is not installed")

SOURCE = r"""
enum small { A, B }; enum large { C = 1ULL << 40 };
typedef unsigned long word;
union either { int i; char room[24]; };
struct alt_instr { int instr_offset, repl_offset; unsigned short cpuid; unsigned char instrlen, replacementlen; }
    __attribute__((packed));
struct bug_entry { int addr, file; unsigned short line, flags; };
struct empty {};
struct jump_entry { int code, target; long key; };
struct nested { struct bug_entry entries[3]; union either either; const volatile word *pointer; enum small s : 4; };
struct forward; float ratio; enum large big;
struct nested used; struct alt_instr alt; struct empty nothing; struct jump_entry jump;
struct forward *pointer; int (*call)(struct nested *, ...);
static int function(struct nested *n, word w) { return n->either.i + w; }
int entry(word w) { return function(&used, w); }
"""
NAMES = ("alt_instr", "bug_entry", "jump_entry", "nested")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("btf")
    (directory / "types.c").write_text(SOURCE)
    options = [option for option in KERNEL if "mcount" not in option]
    subprocess.run(
        ["gcc", *options, "-g", "-c", "types.c", "-o", "types.o"], cwd=directory, check=True
    )
    # As the kernel's own build does (scripts/link-vmlinux.sh): pahole would look for llvm-objcopy.
    environment = {**os.environ, "LLVM_OBJCOPY": "objcopy"}
    subprocess.run(["pahole", "-J", "types.o"], cwd=directory, env=environment, check=True)
    extract = [
        "objcopy",
        "-O",
        "binary",
        "--only-section=.BTF",
        "--set-section-flags",
        ".BTF=alloc",
    ]
    subprocess.run([*extract, "types.o", "types.btf"], cwd=directory, check=True)
    return directory


def test_sizes_are_paholes(made: Path) -> None:
    found = struct_sizes((made / "types.btf").read_bytes(), NAMES, "toy")
    for name in NAMES:
        shown = subprocess.run(
            ["pahole", "-F", "dwarf", "-C", name, "types.o"],
            cwd=made,
            capture_output=True,
            text=True,
            check=False,  # pahole 1.30 prints the structure and ends with status 1
        ).stdout
        size = re.search(r"/\* size: (\d+)", shown)
        assert size
        assert found[name] == int(size[1])


def test_structures_that_are_not_there_are_left_out(made: Path) -> None:
    btf = (made / "types.btf").read_bytes()
    assert struct_sizes(btf, ["nested", "forward", "either", "word", "no_such"], "toy").keys() == {
        "nested"
    }


def test_what_is_no_btf_is_refused() -> None:
    for data in (b"", b"\x9f", bytes(64), b"\x7fELF" + bytes(100)):
        with pytest.raises(Refusal) as refused:
            struct_sizes(data, NAMES, "toy")
        assert refused.value.code == "types-malformed"


def test_cut_off_btf_is_refused_or_lacks_names(made: Path) -> None:
    btf = (made / "types.btf").read_bytes()
    whole = struct_sizes(btf, NAMES, "toy")
    for length in range(len(btf)):
        with contextlib.suppress(Refusal):
            assert struct_sizes(btf[:length], NAMES, "toy").items() <= whole.items()


def test_a_type_of_unknown_kind_is_refused(made: Path) -> None:
    btf = bytearray((made / "types.btf").read_bytes())
    header, offset = struct.unpack_from("<I", btf, 4)[0], struct.unpack_from("<I", btf, 8)[0]
    btf[header + offset + 7] = 0x1F
    with pytest.raises(Refusal) as refused:
        struct_sizes(bytes(btf), NAMES, "toy")
    assert refused.value.code == "types-malformed"


@settings(max_examples=100, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_changed_bytes_end_in_a_refusal_or_do_no_harm(
    made: Path, edits: list[tuple[int, int]]
) -> None:
    btf = bytearray((made / "types.btf").read_bytes())
    for place, value in edits:
        btf[place % len(btf)] = value
    with contextlib.suppress(Refusal):
        struct_sizes(bytes(btf), NAMES, "toy")
