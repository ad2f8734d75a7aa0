# SPDX-License-Identifier: GPL-2.0-or-later
"""What a repository's word means for this host: which live patch is to be in force, what is to be
taken out, and what waits and why.

Nothing here asks anybody or changes anything.

The place of a host in a ring is the SHA-256 of its machine ID and the ring's salt, modulo 10,000.
The hosts below the ring's share load what it has chosen; the others stay with, or load, what was
last chosen for all of the ring.  A host that has it keeps it, whatever the share becomes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from suture.repo.documents import WHOLE, PublishedPatch, RingChoice, Withdrawals


class WaitReason(StrEnum):
    """Why what is offered is not loaded."""

    HELD = "held"
    HALTED = "halted"
    SHARE = "share"
    NOT_BEFORE = "not-before"
    DELAY = "delay"
    PINNED = "pinned"
    SET_ASIDE = "set-aside"
    NOT_VOUCHED = "not-vouched"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class RepositoryWord:
    """What the repository says for one ring and kernel, with all names looked up.

    :ivar choice: None where the ring has never chosen anything for the kernel.
    :ivar patch: that of the choice; None if the release role does not vouch for it.
    :ivar previous: the choice before, likewise.
    :ivar pinned: the live patch at which the host is to stay, likewise.
    """

    choice: RingChoice | None
    patch: PublishedPatch | None
    previous: PublishedPatch | None
    pinned: PublishedPatch | None
    withdrawn: Withdrawals

    def is_withdrawn(self, sha256: str) -> bool:
        """Whether a live patch was withdrawn."""
        return any(entry.sha256 == sha256 for entry in self.withdrawn.entries)


@dataclass(frozen=True, slots=True)
class HostSituation:
    """What a host has and wants.

    :ivar now: never earlier than what the newest metadata says.
    :ivar own: the SHA-256 of the live patch in force that it has from the repository; "" for none.
    :ivar own_published: when that was published, ISO 8601; "" if the repository does not say.
    :ivar aside: those of live patches that failed here.
    """

    machine_id: str
    now: datetime
    own: str = ""
    own_published: str = ""
    held: str = ""
    pin: str = ""
    aside: frozenset[str] = frozenset()
    delay: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What is to be done.

    :ivar wanted: the live patch that is to be in force; None for no change of what is.
    :ivar out: why what the host has is to be taken out; "" if it may stay.
    :ivar replace: `wanted` may take back functions of what it replaces.
    :ivar waits: why what is offered is not `wanted`; None if it is.
    :ivar why: the same in words.
    """

    wanted: PublishedPatch | None
    out: str = ""
    replace: bool = False
    waits: WaitReason | None = None
    why: str = ""


def place(machine_id: str, salt: str) -> int:
    """Return a host's place among 10,000."""
    digest = hashlib.sha256(f"{machine_id}\n{salt}".encode()).digest()
    return int.from_bytes(digest, "big") % WHOLE


def decide(word: RepositoryWord, host: HostSituation) -> Verdicts:
    """Return what is to be done."""
    gone = bool(host.own) and word.is_withdrawn(host.own)
    if host.held:
        about = "; what it has was withdrawn" if gone else ""
        return Verdicts(None, waits=WaitReason.HELD, why=f"held since {host.held}{about}")
    why_out = _reason(word, host.own) if gone else ""
    if host.pin and word.pinned is not None and not word.is_withdrawn(word.pinned.sha256):
        return _pinned(word, word.pinned, host, why_out)
    choice = word.choice
    if choice is None:
        return Verdicts(None, why_out)
    if choice.patch is None:
        out = f"the ring {choice.ring} has chosen none" if host.own else ""
        return Verdicts(None, why_out or out)
    wanted, waits, why = _admitted(word, choice, host)
    replaces = choice.replace or gone
    return Verdicts(wanted, why_out, replaces, waits, why)


def _pinned(
    word: RepositoryWord, pinned: PublishedPatch, host: HostSituation, why_out: str
) -> Verdicts:
    if pinned.sha256 in host.aside:
        return Verdicts(None, why_out, False, WaitReason.SET_ASIDE, f"{pinned.name} failed here")
    # Staying at an older one is the administrator's own decision.
    if (
        word.choice is None
        or word.choice.patch is None
        or word.choice.patch.sha256 == pinned.sha256
    ):
        return Verdicts(pinned, why_out, True)
    why = f"stays at {pinned.name} ('suture follow pin')"
    return Verdicts(pinned, why_out, True, WaitReason.PINNED, why)


def _admitted(
    word: RepositoryWord, choice: RingChoice, host: HostSituation
) -> tuple[PublishedPatch | None, WaitReason | None, str]:
    """Return the live patch that the host is to have, and why it is not what is offered."""
    assert choice.patch is not None
    waits, why = _obstacle(word, choice, host)
    if waits is None:
        return word.patch, None, ""
    previous = word.previous
    if previous is None or previous.sha256 in host.aside or word.is_withdrawn(previous.sha256):
        return None, waits, why
    # A host that was among the first for something newer stays with it, unless it was withdrawn.
    is_ahead = (
        host.own != previous.sha256
        and host.own_published >= previous.published
        and not word.is_withdrawn(host.own)
    )
    return (None if is_ahead else previous), waits, why


def _obstacle(
    word: RepositoryWord, choice: RingChoice, host: HostSituation
) -> tuple[WaitReason | None, str]:
    """Return why the host does not load what the ring has chosen, first of all what is about the
    live patch itself."""
    assert choice.patch is not None
    name, sha256 = choice.patch.name, choice.patch.sha256
    if word.is_withdrawn(sha256):
        return WaitReason.WITHDRAWN, _reason(word, sha256)
    if word.patch is None:
        return WaitReason.NOT_VOUCHED, f"the release role does not vouch for {name}"
    if sha256 == host.own:
        return None, ""
    if sha256 in host.aside:
        return WaitReason.SET_ASIDE, f"{name} failed here"
    if choice.halted:
        return WaitReason.HALTED, f"the ring {choice.ring} is halted"
    mine = place(host.machine_id, choice.salt)
    if mine >= choice.share:
        share = f"{choice.share / 100:g} % of the ring load it"
        return WaitReason.SHARE, f"{share}, and this host's place is {mine / 100:g} %"
    if choice.not_before and host.now < datetime.fromisoformat(choice.not_before):
        return WaitReason.NOT_BEFORE, f"not before {choice.not_before}"
    allowed = datetime.fromisoformat(choice.since) + host.delay
    if host.now < allowed:
        return WaitReason.DELAY, f"delayed until {allowed:%Y-%m-%dT%H:%M:%SZ} on this host"
    return None, ""


def _reason(word: RepositoryWord, sha256: str) -> str:
    for entry in word.withdrawn.entries:
        if entry.sha256 == sha256:
            return f"{entry.name} was withdrawn: {entry.reason}"
    return ""
