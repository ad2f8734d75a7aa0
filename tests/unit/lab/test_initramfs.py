# SPDX-License-Identifier: GPL-2.0-or-later
"""The archive that the guest boots from, as busybox's own cpio reads it."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.lab import initramfs


def listing(archive: bytes) -> list[list[str]]:
    """``cpio -tv``: mode, owner, size, date, time, name."""
    shown = subprocess.run(
        [initramfs.BUSYBOX, "cpio", "-itv"], input=archive, capture_output=True, check=True
    )
    return [line.split() for line in shown.stdout.decode().splitlines()]


def test_archive_lists_its_entries_with_mode_size_and_name() -> None:
    entries = [
        initramfs.ArchiveMember("d", stat.S_IFDIR | 0o755),
        initramfs.ArchiveMember("d/odd", stat.S_IFREG | 0o640, b"12345"),
        initramfs.ArchiveMember("d/empty", stat.S_IFREG | 0o600),
        initramfs.ArchiveMember("link", stat.S_IFLNK | 0o777, b"d/odd"),
        initramfs.ArchiveMember("console", stat.S_IFCHR | 0o600, device=(5, 1)),
    ]
    rows = listing(initramfs.archive(entries))
    assert [(row[0], row[5]) for row in rows] == [
        ("drwxr-xr-x", "d"),
        ("-rw-r-----", "d/odd"),
        ("-rw-------", "d/empty"),
        ("lrwxrwxrwx", "link"),
        ("crw-------", "console"),
    ]
    assert rows[1][2] == "5"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 4095, 4096])
def test_content_of_any_length_comes_back(size: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * 16
    archive = initramfs.archive(
        [initramfs.ArchiveMember("file", stat.S_IFREG | 0o644, content[:size])]
    )
    subprocess.run(
        [initramfs.BUSYBOX, "cpio", "-i"],
        input=archive,
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert (tmp_path / "file").read_bytes() == content[:size]


def test_added_files_come_after_the_directories_they_need() -> None:
    names = [
        row[5]
        for row in listing(
            initramfs.build({"/lib/modules/r/a.ko": b"a", "/lib/b": b"b", "/bin/c": b"c"})
        )
    ]
    assert (
        names.index("lib")
        < names.index("lib/modules")
        < names.index("lib/modules/r")
        < names.index("lib/modules/r/a.ko")
    )
    assert names.count("lib") == names.count("bin") == 1
    assert {"init", "bin/busybox", "bin/sh", "dev/console", "lib/b", "bin/c"} <= set(names)


def test_a_missing_busybox_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        initramfs.build({}, busybox=tmp_path / "busybox")
    assert refusal.value.code == "tool-missing"


@pytest.mark.parametrize("content", [Path("/bin/ls").read_bytes(), b"#!/bin/sh\n", b"", b"\x7fELF"])
def test_a_busybox_that_is_not_static_is_refused(content: bytes, tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(content)
    with pytest.raises(Refusal, match="static") as refusal:
        initramfs.build({}, busybox=busybox)
    assert refusal.value.code == "tool-missing"
    assert "busybox-static" in str(refusal.value)


def test_the_agent_is_a_shell_script_that_busybox_can_parse() -> None:
    subprocess.run([initramfs.BUSYBOX, "sh", "-n"], input=initramfs.script("agent.sh"), check=True)
