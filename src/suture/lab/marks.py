# SPDX-License-Identifier: GPL-2.0-or-later
"""The mark that ends what a session in the guest has written, with its exit status."""

from __future__ import annotations

import re
import secrets

_STATUS = re.compile(rb"(\d{1,3});")


def new_mark() -> str:
    """Return a mark that no program writes by chance."""
    return f"suture-end-{secrets.token_hex(8)}"


class MarkedStream:
    r"""Passes on what a session writes, up to the mark: ``\0MARK STATUS;``.

    Bytes that may begin the mark are held back until more have come.

    :ivar status: the exit status; None before the end.
    """

    def __init__(self, mark: str) -> None:
        self._mark = b"\0" + mark.encode() + b" "
        self._held = b""
        self.status: int | None = None

    def feed(self, data: bytes) -> bytes:
        """Take what has come, and return what is to be passed on."""
        if self.status is not None:
            return b""  # of a process that the session has left behind
        self._held += data
        at = self._held.find(self._mark)
        if at < 0:
            at = len(self._held) - self._begun()
        elif (found := _STATUS.match(self._held, at + len(self._mark))) is not None:
            self.status = int(found[1])
        passed, self._held = self._held[:at], self._held[at:]
        return passed

    def rest(self) -> bytes:
        """Return what was held back from a session that ended without the mark."""
        held, self._held = self._held, b""
        return b"" if self.status is not None else held

    def _begun(self) -> int:
        """Return how many of the last bytes may begin the mark."""
        return next(
            size
            for size in range(min(len(self._mark), len(self._held)), -1, -1)
            if self._held.endswith(self._mark[:size])
        )
