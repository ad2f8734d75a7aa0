# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel says while we change it: the records that come into its log from a moment on.

``Documentation/ABI/testing/dev-kmsg``: each read(2) gives one record
``PRIORITY,SEQUENCE,TIME,FLAGS;TEXT``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import TracebackType

DEVICE = Path("/dev/kmsg")
RECORD = 8192
"""Bytes; a shorter buffer is refused (``kernel/printk/printk.c: devkmsg_read()``,
``PRINTK_MESSAGE_MAX``)."""

OURS = re.compile(r"livepatch|module|ftrace|kprobe|BUG|WARNING|symbol", re.IGNORECASE)
"""Records of others are left out."""


class Listener:
    """The log from now on.  Without the right to read it (``kernel.dmesg_restrict``), there is
    nothing in it."""

    def __init__(self, device: Path = DEVICE) -> None:
        try:
            self._descriptor: int | None = os.open(
                device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            )
            os.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError:
            self._descriptor = None

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def said(self, *about: str) -> tuple[str, ...]:
        """What has come since the last call: what concerns modules and patches in general, or one
        of the names."""
        lines = []
        while self._descriptor is not None:
            try:
                record = os.read(self._descriptor, RECORD)
            except BrokenPipeError:
                continue  # records were overwritten before we read them
            except OSError:
                break
            line = record.decode(errors="replace").partition(";")[2].partition("\n")[0]
            if OURS.search(line) or any(name in line for name in about):
                lines.append(line)
        return tuple(lines)
