# SPDX-License-Identifier: GPL-2.0-or-later
"""The target's source as delivered: a tar from a package, or the directory of a tree that the user
built."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from suture.errors import (
    DISK_FULL,
    KBUILD_UNSUPPORTED,
    SOURCE_DAMAGED,
    SOURCE_MISMATCH,
    SOURCE_MISSING,
    Refusal,
)
from suture.host.files import cannot_write
from suture.host.run import EVIDENCE_LINES, check, run, says_disk_full
from suture.kernel.release import Target
from suture.workspace.kbuild import clean_environment

BUILT = (
    ".git", "*.o", "*.a", "*.ko", "*.so", "*.so.dbg", "*.mod", "*.mod.c", ".*.cmd", ".*.d",
    "*.order", "vmlinux*", "*.pem", "*.x509", ".tmp_*",
)  # fmt: skip
"""What a built tree holds that a workspace makes for itself or has no use for (and no copy of a
signing key)."""

EXPANSION = 13
"""Unpacked over packed size: 11.2 for the xz of 6.1, and the prepared tree adds some."""


def identity(path: Path) -> str:
    """Return text that identifies this source without reading all of it: name and size of a
    package's tar (the package's version is recorded beside it), size and time of each file of a
    user's tree.

    :raises Refusal: ``source-missing``
    """
    try:
        if path.is_dir():
            digest = hashlib.sha256()
            for name, status in sorted(_walk(path)):
                digest.update(
                    f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(
                        errors="surrogateescape"
                    )
                )
            return f"{path.resolve()} {digest.hexdigest()}"
        status = path.stat()
    except OSError as error:
        raise Refusal(SOURCE_MISSING, str(path), error.strerror or str(error)) from error
    return f"{path.name} {status.st_size}"


def unpacked_size(path: Path) -> int:
    """Estimate the bytes of the prepared tree."""
    if path.is_dir():
        return sum(status.st_blocks * 512 for _, status in _walk(path))
    return path.stat().st_size * EXPANSION


def copy(directory: Path, tree: Path) -> None:
    """Copy a user's tree without build products; the user's files are only read.

    :raises Refusal: ``disk-full``, ``file-unreadable``
    """
    try:
        shutil.copytree(
            directory,
            tree,
            symlinks=True,
            ignore=shutil.ignore_patterns(*BUILT),
            dirs_exist_ok=True,
        )
    except shutil.Error as error:
        source, _, message = error.args[0][0]
        raise Refusal(SOURCE_MISSING, str(source), str(message)) from error
    except OSError as error:
        raise cannot_write(tree, error) from error


def unpack(archive: Path, tree: Path) -> None:
    """Unpack a packaged source without its top directory.

    :raises Refusal: ``source-damaged``, ``disk-full``, ``tool-missing``
    """
    options = ("--strip-components=1", "--no-same-owner")
    command = ["tar", "-x", "-f", str(archive), "-C", str(tree), *options]
    # xz(1) unpacks the blocks that packaged sources are made of side by side, when it is told.
    environment = {**clean_environment(), "XZ_DEFAULTS": "--threads=0"}
    check(command, where=str(archive), kind=SOURCE_DAMAGED, env=environment)


def apply_patches(target: Target, tree: Path) -> None:
    """Apply the patches of the kernel's own package, as the package's build does.

    Ubuntu's ``linux_6.8.0-31.31.diff.gz`` is one such patch to ``linux_6.8.0.orig.tar.gz``.
    dpkg-source(1) and rpmbuild(8) allow no fuzz either: a hunk between other lines may be in the
    wrong function.

    :raises Refusal: ``source-damaged``, ``tool-missing``, ``disk-full``
    """
    options = ("--strip=1", "--fuzz=0", "--batch", "--forward", "--silent", "--remove-empty-files")
    for patch in target.patches:
        command: list[str | Path] = [
            "patch",
            *options,
            "--no-backup-if-mismatch",
            "-d",
            tree,
            "-i",
            patch.absolute(),
        ]
        finished = run(command, env={**os.environ, "LC_ALL": "C.UTF-8"})
        said = (finished.stdout + finished.stderr).splitlines()
        if finished.status != 0:
            raise Refusal(
                DISK_FULL if says_disk_full(said) else SOURCE_DAMAGED,
                str(patch),
                f"it does not apply to {target.source.name}",
                why="The kernel was built from its source with this patch applied.",
                remedy="Fetch the kernel again: its source and its patches differ in version.",
                evidence=said[-EVIDENCE_LINES:],
            )


def check_version(target: Target, tree: Path) -> None:
    """Check that the tree is a kernel's, of the target's version.

    :raises Refusal: ``source-mismatch``
    """
    try:
        makefile = (tree / "Makefile").read_text(errors="replace")
    except OSError as error:
        raise Refusal(
            SOURCE_MISMATCH, str(target.source), "contains no Makefile at its top"
        ) from error
    fields = dict(
        re.findall(
            r"^(VERSION|PATCHLEVEL|SUBLEVEL)[ \t]*=[ \t]*(\d+)[ \t]*$", makefile, re.MULTILINE
        )
    )
    if len(fields) != 3:
        raise Refusal(SOURCE_MISMATCH, str(target.source), "is not the source of a Linux kernel")
    found = ".".join(fields[name] for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    # The package's version begins with the kernel's own; without a package only the release has it,
    # and releases need not carry the sublevel: 6.1.0-50-amd64 is 6.1.176.
    expected = _numbers(target.version, 3) or _numbers(target.release, 2)
    if expected and _numbers(found, len(expected)) != expected:
        wanted = target.version or target.release
        raise Refusal(
            SOURCE_MISMATCH, str(target.source), f"is the source of {found}, the target is {wanted}"
        )


def check_kbuild(target: Target, tree: Path) -> None:
    """Check that the tree's top lists its directories, as it has done since Linux 6.1 (``Kbuild``:
    ``obj-y += kernel/``).

    In 5.10 the top Makefile goes into each of them by itself (``Makefile``: ``build-dirs``), so
    that kbuild, asked at the top for all objects, would name none.

    :raises Refusal: ``kbuild-unsupported``
    """
    try:
        text = (tree / "Kbuild").read_text(errors="replace")
    except FileNotFoundError:
        text = ""
    if not re.search(r"^obj-y\s*\+?=.*/$", text, re.MULTILINE):
        raise Refusal(
            KBUILD_UNSUPPORTED,
            target.release,
            "the Kbuild of its source lists no directories (obj-y += kernel/)",
        )


def _numbers(text: str, count: int) -> tuple[int, ...]:
    """Return the first `count` numbers of a version; fewer if it has fewer, as ``6.13~rc7``."""
    match = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", text)
    return tuple(int(number) for number in match[1].split("."))[:count] if match else ()


def _walk(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    ignored = shutil.ignore_patterns(*BUILT)
    for parent, subdirectories, files in os.walk(directory):
        skip = ignored(parent, [*subdirectories, *files])
        subdirectories[:] = [name for name in subdirectories if name not in skip]
        for name in files:
            if name not in skip:
                path = os.path.join(parent, name)
                yield path, os.lstat(path)
