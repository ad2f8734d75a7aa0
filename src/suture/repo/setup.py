# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes this host follow a repository, and what its administrator tells it: hold, pin, resume."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace

from suture.core import running, system_hooks, trusted, units
from suture.core.following import Following, FollowingFile
from suture.core.status import SETTINGS
from suture.errors import FOLLOW_NOT_SET_UP, NOT_PRIVILEGED, Refusal
from suture.repo import documents, settings
from suture.repo.answers import METADATA_NAME
from suture.repo.client import consulted
from suture.repo.fetching import RepositoryFetcher
from suture.repo.follow import FollowOutcome, held, run
from suture.repo.host import ThisHost
from suture.repo.settings import FollowSettings


@dataclass(frozen=True, slots=True)
class SetupWish:
    """What a host is to follow; see `suture.repo.settings.FollowSettings`.

    :ivar delay: such as ``24h``.
    :ivar timer: whether a timer of systemd's runs it.
    """

    url: str
    ring: str
    root: bytes
    delay: str = "0m"
    at_boot: bool = True
    require_signature: bool = False
    timeout: float = 60
    proxy: str = ""
    timer: bool = True


@dataclass(frozen=True, slots=True)
class SetUp:
    """What was written.

    :ivar signed: when the repository's newest metadata was made.
    """

    settings: str
    root: str
    signed: str
    timer: bool


@dataclass(slots=True)
class _Nothing:
    """Remembers nothing of a repository that is asked for the first time."""

    def read(self) -> bytes:
        """Return nothing."""
        return b""

    def write(self, content: bytes) -> None:
        """Forget it."""


def set_up(wish: SetupWish) -> SetUp:
    """Write the settings, once the repository was verified with them, and set the timer.

    :raises Refusal: ``not-privileged``, ``follow-settings-wrong``, ``ring-unknown``,
        ``path-untrusted``, ``store-unwritable``, ``systemd-missing``, and as
        `suture.repo.client.consulted`
    """
    _as_root("following a repository")
    where = "the command line"
    wanted = FollowSettings(
        settings.checked_url(wish.url, where),
        settings.checked_ring(wish.ring, where),
        settings.checked_root(wish.root, where),
        settings.read_delay(wish.delay, where),
        wish.at_boot,
        wish.require_signature,
        float(wish.timeout),
        wish.proxy,
    )
    content = settings.written(wanted)
    settings.parse(content, wish.root, where)
    if wish.timer:
        units.refuse_without_systemd()
    signed = _signed(wanted)
    with held():
        trusted.open_directory(SETTINGS.parent, make=True).__exit__()
        with trusted.open_directory(SETTINGS.parent) as directory:
            if _root_of(directory) != wish.root:
                FollowingFile().remove(METADATA_NAME)  # of another repository, perhaps
            directory.write(settings.ROOT_NAME, wish.root)
            directory.write(SETTINGS.name, content)
    system_hooks.set_follow(wish.timer)
    return SetUp(str(SETTINGS), str(SETTINGS.with_name(settings.ROOT_NAME)), signed, wish.timer)


def _root_of(directory: trusted.Directory) -> bytes:
    """Return the root metadata that this host was given before; b"" for none."""
    try:
        return directory.read(settings.ROOT_NAME)
    except FileNotFoundError:
        return b""


def _signed(wanted: FollowSettings) -> str:
    """Ask the repository, and return when its newest metadata was made."""
    fetcher = RepositoryFetcher(wanted.proxy)
    release = running.release()
    with consulted(wanted.url, wanted.ring, release, wanted.root, _Nothing(), fetcher) as found:
        found.choice()
        return documents.stamp(found.times().signed)


def follow_once(*, dry: bool) -> FollowOutcome:
    """Follow the repository once, with the settings of this host.

    :raises Refusal: ``not-privileged``, ``follow-not-set-up``, and as `suture.repo.follow.run`
    """
    _as_root("following a repository")
    try:
        wanted = settings.read()
    except Refusal as refusal:
        if refusal.kind is not FOLLOW_NOT_SET_UP:
            note_failure(refusal)
        raise
    return run(wanted, ThisHost(wanted.require_signature, wanted.timeout), dry=dry)


def note_failure(refusal: Refusal) -> None:
    """Have 'suture status' show why nothing is followed."""
    with held(), suppress(Refusal):
        file = FollowingFile()
        state = file.read()
        found = str(refusal).partition("\n")[0]
        when = documents.stamp(documents.now())
        last = replace(state.last, when=when, error=refusal.code, found=found)
        file.write(replace(state, last=last))


def hold(reason: str) -> Following:
    """Have this host change nothing.  :raises Refusal: as `resume`"""
    since = documents.stamp(documents.now())
    return _changed("holding", hold=f"{since}: {reason}" if reason else since)


def pin(name: str) -> Following:
    """Have this host stay at a live patch.  :raises Refusal: as `resume`"""
    return _changed("pinning", pin=name)


def resume() -> Following:
    """Have this host do what its ring says.

    :raises Refusal: ``not-privileged``, ``follow-not-set-up``, ``another-at-work``,
        ``follow-state-damaged``, ``store-unwritable``, ``path-untrusted``
    """
    return _changed("resuming", hold="", pin="", aside=None, attempt=None)


def reset() -> None:
    """Forget what was seen of the repository, and a state that cannot be read.  :raises Refusal: as
    `resume`"""
    _as_root("resetting")
    with held():
        file = FollowingFile()
        file.remove(METADATA_NAME)
        try:
            file.read()
        except Refusal:
            file.write(Following())


def _changed(doing: str, **changes: object) -> Following:
    _as_root(doing)
    if not SETTINGS.exists():
        raise Refusal(FOLLOW_NOT_SET_UP, str(SETTINGS), "does not exist")
    with held():
        file = FollowingFile()
        made = replace(file.read(), **changes)  # type: ignore[arg-type]
        file.write(made)
    return made


def _as_root(doing: str) -> None:
    if os.geteuid() != 0:
        raise Refusal(NOT_PRIVILEGED, doing, "only root may change what is loaded")
