# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether one function's type fits another's, from types that the kernel's own tool made of
compiled C."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.kernel.btf import Btf
from suture.verify.prototypes import difference

OLD = """
struct file; struct inode { int x; }; enum colour { RED, GREEN }; typedef unsigned short umode_t;
int takes(struct file *f, const char *name, unsigned long n) { return 0; }
void nothing(void) { }
umode_t mode(umode_t m, enum colour c) { return m; }
struct inode *gives(void *p, struct file **list) { return 0; }
int called(int (*fn)(int), _Bool yes) { return 0; }
"""


@pytest.fixture(scope="module")
def compile_types(tmp_path_factory: pytest.TempPathFactory) -> object:
    def made(source: str) -> Btf:
        directory: Path = tmp_path_factory.mktemp("types")
        (directory / "a.c").write_text(source)
        subprocess.run(["gcc", "-g", "-c", "a.c"], cwd=directory, check=True)
        subprocess.run(
            ["pahole", "-J", "--btf_encode_detached=a.btf", "a.o"], cwd=directory, check=True
        )
        return Btf((directory / "a.btf").read_bytes(), "a.o")

    return made


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("takes", "int f(struct file *f, const char *name, unsigned long n) { return 0; }", None),
        ("takes", "long f(struct file *f) { return 0; }", "returns long int where"),
        ("takes", "int f(struct file *f, char *name) { return 0; }", None),
        ("takes", "int f(void *f, void *name, long n) { return 0; }", None),
        ("takes", "int f(void) { return 0; }", None),
        (
            "takes",
            "int f(struct file *f, const char *name, unsigned int n) { return 0; }",
            "argument 3 is unsigned int",
        ),
        (
            "takes",
            "int f(struct inode *f, const char *name) { return 0; }",
            "argument 1 is struct inode *",
        ),
        (
            "takes",
            "int f(struct file *f, struct file *name) { return 0; }",
            "argument 2 is struct file *",
        ),
        (
            "takes",
            "int f(struct file *f, const char *n, long m, int o) { return 0; }",
            "takes 4 arguments where",
        ),
        ("nothing", "void f(void) { }", None),
        ("nothing", "int f(void) { return 0; }", "returns int where"),
        ("mode", "unsigned short f(unsigned short m, int c) { return m; }", None),
        ("mode", "unsigned short f(unsigned char m) { return m; }", "argument 1 is unsigned char"),
        ("gives", "struct inode *f(struct inode *p, struct file **list) { return 0; }", None),
        ("gives", "struct file *f(void *p) { return 0; }", "returns struct file *"),
        (
            "gives",
            "struct inode *f(void *p, struct inode **list) { return 0; }",
            "argument 2 is struct inode **",
        ),
        ("called", "int f(int (*fn)(int), _Bool yes) { return 0; }", None),
        ("called", "int f(long fn) { return 0; }", "argument 1 is long int"),
    ],
)
def test_difference_that_matters_is_named(
    compile_types: object, old: str, new: str, found: str | None
) -> None:
    assert callable(compile_types)
    before, after = (
        compile_types(OLD),
        compile_types(f"struct file; struct inode {{ int x; }};\n{new}\n"),
    )
    said = difference((before, before.functions(old)[0]), (after, after.functions("f")[0]))
    assert (said is None) if found is None else (said is not None and found in said), said


def test_types_that_are_cut_off_are_refused(compile_types: object, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="types-malformed"):
        Btf(b"\x9f\xeb\x01", "short")
    with pytest.raises(Refusal, match="types-malformed"):
        Btf(bytes(64), "zeroes")
