# SPDX-License-Identifier: GPL-2.0-or-later
"""What following needs of a host: what is in force and installed, and the changes that 'suture
load', 'suture unload', 'suture install' and 'suture uninstall' make."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from suture.core import installing, modules, running
from suture.core.certificates import trusted_certificates
from suture.core.change import Options
from suture.core.cores import current
from suture.core.store import Store
from suture.errors import NOT_INSTALLED, PATCH_NOT_LOADED, Refusal
from suture.module import signature

MACHINE_ID = Path("/etc/machine-id")
"""``machine-id(5)``"""

WAIT = 60.0
"""Seconds to wait for another process that changes live patches."""

CAUSE = "follow"
"""What the journal says that a change was for."""


@dataclass(frozen=True, slots=True)
class KeptModule:
    """An installed live patch.

    :ivar set_aside: whether boots have failed with it.
    """

    name: str
    sha256: str
    set_aside: bool


class FollowingHost(Protocol):
    """A host that follows a repository."""

    @property
    def release(self) -> str:
        """Return the running kernel's release."""

    @property
    def machine_id(self) -> str:
        """Return what tells this host from others."""

    @property
    def boot_id(self) -> str:
        """Return what tells this boot from others."""

    def in_force(self) -> Mapping[str, str]:
        """Return the live patches in force, by the names that they were built with -> build ID."""

    def kept(self) -> Mapping[str, KeptModule]:
        """Return the live patches installed for the running kernel, by name."""

    def load(self, module: bytes, where: str, *, replace: bool) -> None:
        """Load a live patch as 'suture load' does.  :raises Refusal: as `suture.core.load.load`"""

    def unload(self, name: str) -> None:
        """Unload one, if it is in force.  :raises Refusal: as `suture.core.unload.unload`"""

    def install(self, module: bytes, where: str) -> None:
        """Install one for the next boots.  :raises Refusal: as
        `suture.core.installing.install`"""

    def uninstall(self, name: str) -> None:
        """Uninstall one, if it is installed.  :raises Refusal: as
        `suture.core.installing.uninstall`"""


@dataclass(frozen=True, slots=True)
class ThisHost:
    """This one.

    :ivar require_signature: as 'suture load --require-signature'.
    :ivar timeout: seconds for a transition.
    """

    require_signature: bool = False
    timeout: float = 60.0
    store: Store = field(default_factory=Store)

    @property
    def release(self) -> str:
        """Return the running kernel's release."""
        return running.release()

    @property
    def machine_id(self) -> str:
        """Return the machine ID; of a host that has none, its name."""
        return running.text(MACHINE_ID) or running.text(Path("/proc/sys/kernel/hostname"))

    @property
    def boot_id(self) -> str:
        """Return the boot ID."""
        return running.boot_id()

    def in_force(self) -> Mapping[str, str]:
        """Return what sysfs shows."""
        found: dict[str, str] = {}
        for patch in current().patches():
            module = modules.read(patch.name)
            if patch.enabled:
                name = modules.live_patch_name(patch.name)
                found[name] = module.build_id if module else ""
        return found

    def kept(self) -> Mapping[str, KeptModule]:
        """Return what the store has; entries that cannot be read are left out."""
        found: dict[str, KeptModule] = {}
        for name in self.store.names(self.release):
            with suppress(Refusal):
                entry = self.store.entry(self.release, name)
                aside = self.store.tries(entry).set_aside
                found[name] = KeptModule(name, entry.sha256, aside)
        return found

    def load(self, module: bytes, where: str, *, replace: bool) -> None:
        """Load a live patch, with all checks of 'suture load'."""
        from suture.core.load import load

        if self.require_signature:
            signature.check(module, where, trusted_certificates())
        load(module, where, self._options(replace))

    def unload(self, name: str) -> None:
        """Unload one, unless it has gone meanwhile."""
        from suture.core.unload import unload

        try:
            unload(name, self._options(False))
        except Refusal as refusal:
            if refusal.kind is not PATCH_NOT_LOADED:
                raise

    def install(self, module: bytes, where: str) -> None:
        """Install one.  What it replaces was decided when it was loaded."""
        installing.install(
            module,
            where,
            require_signature=self.require_signature,
            store=self.store,
            options=self._options(True),
        )

    def uninstall(self, name: str) -> None:
        """Uninstall one, unless it has gone meanwhile."""
        try:
            installing.uninstall(self.release, name, store=self.store, options=self._options(False))
        except Refusal as refusal:
            if refusal.kind is not NOT_INSTALLED:
                raise

    def _options(self, replace: bool) -> Options:
        return Options(timeout=self.timeout, wait=WAIT, replace=replace, cause=CAUSE)
