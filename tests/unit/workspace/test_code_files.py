# SPDX-License-Identifier: GPL-2.0-or-later
"""What of a patch is code."""

from __future__ import annotations

import pytest

from suture.errors import Refusal
from suture.workspace.applying import Changed
from suture.workspace.code_files import sort


def changed(*paths: str) -> list[Changed]:
    return [Changed(path, b"old", b"new") for path in paths]


def test_documents_and_other_architectures_are_left_out() -> None:
    changes = changed(
        "Documentation/x.rst", "MAINTAINERS", "arch/arm64/mm/fault.c", "fs/x.c", "include/linux/x.h"
    )
    assert [change.path for change in sort(changes, "x86").code] == ["fs/x.c", "include/linux/x.h"]


@pytest.mark.parametrize(
    "paths", [[], ["Documentation/x.rst"], ["arch/arm64/mm/fault.c", "README"]]
)
def test_nothing_left_is_refused(paths: list[str]) -> None:
    with pytest.raises(Refusal) as caught:
        sort(changed(*paths), "x86")
    assert caught.value.code == "no-code-change"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("arch/x86/entry/entry_64.S", "assembly-file"),
        ("fs/Kconfig", "build-system-changed"),
        ("fs/Makefile", "build-system-changed"),
        ("Makefile", "build-system-changed"),
        ("arch/Kconfig", "build-system-changed"),
        ("arch/x86/kernel/vmlinux.lds.S", "build-system-changed"),
        ("arch/x86/entry/syscalls/syscall_64.tbl", "build-system-changed"),
    ],
)
def test_what_is_built_into_the_whole_kernel_is_refused(path: str, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        sort(changed("fs/x.c", path), "x86")
    assert (caught.value.code, caught.value.where) == (code, path)


def test_text_that_c_is_made_from_is_code() -> None:
    changes = changed("arch/x86/lib/x86-opcode-map.txt", "arch/x86/lib/notes.txt")
    assert [change.path for change in sort(changes, "x86").code] == [
        "arch/x86/lib/x86-opcode-map.txt"
    ]
