# SPDX-License-Identifier: GPL-2.0-or-later
"""Who leads, of several controllers.

Leading only keeps them out of each other's way.  That no step is done twice comes from the state,
which is exchanged by compare-and-swap, and from the numbers of offers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from suture.errors import Refusal
from suture.fleet.state import Lease, SharedState

KEY = "suture/controller/leader"

LEASE = 7.0
"""Seconds; a third of it between two renewals.  Another leads so long after a leader's death."""


class Leading:
    """One controller's part in it.  A thread renews the lease while the block lasts.

    :param holder: the name of this controller.
    :param log: told when it begins to lead, and when it no longer does.
    """

    def __init__(
        self, state: SharedState, holder: str, log: Callable[[str], None], *, seconds: float = LEASE
    ) -> None:
        self._state, self._holder, self._log, self._seconds = state, holder, log, seconds
        self._lease: Lease | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="leading", daemon=True)

    def __enter__(self) -> Leading:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._ending.set()
        self._thread.join()

    @property
    def is_leader(self) -> bool:
        """Whether it leads now, as far as it can know."""
        lease = self._lease
        return lease is not None and time.monotonic() < lease.until

    def _keep(self) -> None:
        while not self._ending.is_set():
            led = self.is_leader
            try:
                self._lease = self._taken()
            except Refusal as refusal:
                if not self.is_leader:
                    self._lease = None
                    if led:
                        self._log(f"the lease cannot be renewed: {refusal.found}")
            if led != self.is_leader:
                self._log(f"{self._holder} {'leads' if self.is_leader else 'leads no more'}")
            self._ending.wait(self._seconds / 3)
        if self._lease is not None:
            with suppress(Refusal):  # it ends by itself
                self._state.resign(self._lease)
            self._lease = None

    def _taken(self) -> Lease | None:
        if self._lease is not None:
            renewed = self._state.renew(self._lease, self._seconds)
            if renewed is not None:
                return renewed
        return self._state.lead(KEY, self._holder, self._seconds)
