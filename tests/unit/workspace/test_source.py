# SPDX-License-Identifier: GPL-2.0-or-later
"""The source: the right version, and a user's tree that is only read."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.kernel.release import Target
from suture.workspace import filling, source
from tests.examples import shows

MAKEFILE = "# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 176\nEXTRAVERSION =\n"


def target(directory: Path, release: str = "6.1.0-50-amd64", version: str = "6.1.176-1") -> Target:
    one = directory
    return Target(release, version, one, one, one, one, one, one, one)


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.1.0-50-amd64", "6.1.176-1"),
        ("6.1.176-mine", ""),
        ("6.1.0-50-amd64", ""),
        ("6.1-x", "6.1.176-1~bpo12+1"),
    ],
)
def test_the_right_version_passes(tmp_path: Path, release: str, version: str) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    source.check_version(target(tmp_path, release, version), tmp_path)
    # The same release with another source is refused, so it was looked at.
    (tmp_path / "Makefile").write_text(MAKEFILE.replace("PATCHLEVEL = 1", "PATCHLEVEL = 2"))
    with pytest.raises(Refusal):
        source.check_version(target(tmp_path, release, version), tmp_path)


@pytest.mark.parametrize(
    ("makefile", "version"),
    [(MAKEFILE, "6.1.175-1"), (MAKEFILE, "6.12.176-1"), ("all:\n", "6.1.176-1"), (None, "")],
)
def test_another_version_or_no_kernel_is_refused(
    tmp_path: Path, makefile: str | None, version: str
) -> None:
    if makefile is not None:
        (tmp_path / "Makefile").write_text(makefile)
    with pytest.raises(Refusal) as caught:
        source.check_version(target(tmp_path, version=version), tmp_path)
    assert caught.value.code == "source-mismatch"


LISTS_DIRECTORIES = (
    "# Ordinary directory descending\n\nobj-y\t\t\t+= init/\nobj-y += $(ARCH_CORE)\n"
)
LISTS_NONE = "always-y += include/generated/bounds.h\nmissing-syscalls-file := x\n"


def test_a_kbuild_that_lists_directories_passes(tmp_path: Path) -> None:
    (tmp_path / "Kbuild").write_text(LISTS_DIRECTORIES)
    source.check_kbuild(target(tmp_path), tmp_path)


@pytest.mark.parametrize("kbuild", [LISTS_NONE, None])
def test_the_kbuild_of_5_10_is_refused(tmp_path: Path, kbuild: str | None) -> None:
    if kbuild is not None:
        (tmp_path / "Kbuild").write_text(kbuild)
    with pytest.raises(Refusal) as caught:
        source.check_kbuild(target(tmp_path, "5.10.0-46-amd64", "5.10.262-1"), tmp_path)
    shows(caught.value, "kbuild-unsupported")


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        source.identity(tmp_path / "linux-source.tar.xz")
    shows(caught.value, "source-missing")


def test_a_users_tree_is_copied_without_what_was_built_in_it(tmp_path: Path) -> None:
    tree, made = tmp_path / "mine", tmp_path / "copy"
    (tree / "fs").mkdir(parents=True)
    (tree / "certs").mkdir()
    for name in ("fs/x.c", "fs/x.o", "fs/.x.o.cmd", "vmlinux", "certs/signing_key.pem", "Makefile"):
        (tree / name).write_text("content")
    (tree / "fs/link").symlink_to("x.c")
    made.mkdir()
    source.copy(tree, made)
    copied = sorted(
        path.relative_to(made).as_posix() for path in made.rglob("*") if not path.is_dir()
    )
    assert copied == ["Makefile", "fs/link", "fs/x.c"]
    (made / "fs/x.c").write_text("changed")
    assert (tree / "fs/x.c").read_text() == "content"


def test_a_users_tree_is_another_when_a_source_file_changes(tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text("one")
    before = source.identity(tmp_path)
    (tmp_path / "x.o").write_text("built")
    assert source.identity(tmp_path) == before
    (tmp_path / "x.c").write_text("longer")
    assert source.identity(tmp_path) != before


FIRST = "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-one\n+two\n"
SECOND = "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-two\n+three\n"


def patched(tmp_path: Path, *texts: str) -> str:
    """What a file of the tree holds when patches have been applied to it."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("one\n")
    paths = [tmp_path / f"{number}.patch" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    source.apply_patches(dataclasses.replace(target(tmp_path), patches=tuple(paths)), tree)
    return (tree / "file").read_text()


def test_the_kernels_own_patches_are_applied_in_order(tmp_path: Path) -> None:
    assert patched(tmp_path, FIRST, SECOND) == "three\n"


def test_a_patch_may_make_the_source_the_version_that_it_is(tmp_path: Path) -> None:
    """As a stable patch on top of a release's tar."""
    packed, patch, tree = tmp_path / "linux.tar", tmp_path / "stable.patch", tmp_path / "tree"
    (tmp_path / "linux").mkdir()
    (tmp_path / "linux/Makefile").write_text(MAKEFILE)
    subprocess.run(["tar", "-cf", packed, "-C", tmp_path, "linux"], check=True)
    lines = "@@ -3,3 +3,3 @@\n PATCHLEVEL = 1\n-SUBLEVEL = 176\n+SUBLEVEL = 177\n EXTRAVERSION =\n"
    patch.write_text(f"--- a/Makefile\n+++ b/Makefile\n{lines}")
    tree.mkdir()
    plain = dataclasses.replace(target(tmp_path, version="6.1.177-1"), source=packed)
    with pytest.raises(Refusal, match="source-mismatch"):
        filling.fill(plain, tree)
    filling.fill(dataclasses.replace(plain, patches=(patch,)), tree)


@pytest.mark.parametrize("texts", [(SECOND,), (FIRST, FIRST), ("no patch",)])
def test_a_patch_that_does_not_fit_the_source_is_refused(
    tmp_path: Path, texts: tuple[str, ...]
) -> None:
    with pytest.raises(Refusal, match="source-damaged") as refusal:
        patched(tmp_path, *texts)
    assert refusal.value.where.endswith(f"{len(texts) - 1}.patch")
