# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel is given: what was checked, and nothing that anybody could still change."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable

from suture.core import syscalls

MODULE = bytes(range(256)) * 100


def fails_with(act: Callable[[], object]) -> int | None:
    try:
        act()
    except OSError as error:
        return error.errno
    return None


def test_a_sealed_file_is_what_was_checked_and_stays_so() -> None:
    descriptor = syscalls.sealed(MODULE)
    try:
        assert os.pread(descriptor, len(MODULE) + 1, 0) == MODULE
        # As root would, through another descriptor, who may open anything of this process's.
        other = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)
        try:
            assert fails_with(lambda: os.pwrite(other, b"other", 0)) == errno.EPERM
            assert fails_with(lambda: os.ftruncate(other, 0)) == errno.EPERM
            assert fails_with(lambda: os.ftruncate(other, len(MODULE) + 1)) == errno.EPERM
            assert (
                fails_with(lambda: mmap.mmap(other, len(MODULE), mmap.MAP_SHARED, mmap.PROT_WRITE))
                == errno.EPERM
            )
        finally:
            os.close(other)
        assert os.pread(descriptor, len(MODULE) + 1, 0) == MODULE
    finally:
        os.close(descriptor)
