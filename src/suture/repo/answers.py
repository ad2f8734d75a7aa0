# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks the repository what a host is to do, and asks again right before it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from suture.core.following import FollowedPatch, Following, FollowingFile
from suture.repo.choice import HostSituation, RepositoryWord, Verdicts, decide
from suture.repo.client import Consultation, RepositoryTimes, consulted
from suture.repo.documents import PublishedPatch
from suture.repo.fetching import RepositoryFetcher
from suture.repo.host import FollowingHost
from suture.repo.settings import FollowSettings

METADATA_NAME = "follow.metadata"

ROUNDS = 3
"""How often a run begins anew because the repository changed while it was at work."""


@dataclass(frozen=True, slots=True)
class MetadataMemory:
    """What was seen of the repository, beside what this host remembers of itself."""

    file: FollowingFile

    def read(self) -> bytes:
        """Return it; b"" for nothing."""
        return self.file.content(METADATA_NAME)

    def write(self, content: bytes) -> None:
        """Remember it."""
        self.file.put(METADATA_NAME, content)


@dataclass(frozen=True, slots=True)
class FollowAnswer:
    """What the repository said, and what it means.

    :ivar own: the live patch in force that came from the repository.
    :ivar own_document: what the release role says of it; None if it says nothing any more.
    """

    word: RepositoryWord
    verdicts: Verdicts
    times: RepositoryTimes
    own: FollowedPatch | None
    own_document: PublishedPatch | None
    module: bytes | None


@dataclass(frozen=True, slots=True)
class FollowQuestion:
    """What a host asks.

    :ivar state: what the host remembers.
    :ivar fetcher: makes what downloads files, anew for each time that the repository is asked.
    """

    settings: FollowSettings
    host: FollowingHost
    file: FollowingFile
    state: Following
    fetcher: Callable[[], RepositoryFetcher]

    def settled_answer(self) -> FollowAnswer:
        """Return an answer that is still the repository's after the module was downloaded.

        :raises Refusal: as `ask`
        """
        for _ in range(ROUNDS):
            answer = self.ask(download=True)
            if answer.module is None:
                return answer
            again = self.ask(download=False)
            if _same(answer, again):
                return replace(again, module=answer.module)
        return replace(again, module=None)

    def ask(self, *, download: bool) -> FollowAnswer:
        """Ask once.

        :param download: the module too, if the host is to have it and has not.
        :raises Refusal: as `suture.repo.client.consulted`
        """
        settings, host = self.settings, self.host
        with consulted(
            settings.url,
            settings.ring,
            host.release,
            settings.root,
            MetadataMemory(self.file),
            self.fetcher(),
        ) as found:
            word = self._word(found)
            times = found.times()
            own = self.own(word)
            document = found.patch(own.name) if own is not None else None
            verdicts = decide(word, self._situation(times, own, document))
            wanted, module = verdicts.wanted, None
            if download and wanted is not None and self._lacks(wanted):
                module = found.module(wanted)
            return FollowAnswer(word, verdicts, times, own, document, module)

    def _word(self, found: Consultation) -> RepositoryWord:
        choice = found.choice()
        patch = choice.patch if choice is not None else None
        previous = choice.previous if choice is not None else None
        return RepositoryWord(
            choice,
            found.vouches_for(patch) if patch is not None else None,
            found.vouches_for(previous) if previous is not None else None,
            found.patch(self.state.pin) if self.state.pin else None,
            found.withdrawals(),
        )

    def own(self, word: RepositoryWord) -> FollowedPatch | None:
        """Return the live patch in force that came from here, also if a run was killed before it
        had written that down."""
        in_force = self.host.in_force()
        offered = [
            FollowedPatch(patch.release, patch.name, patch.sha256, patch.build_id)
            for patch in (word.patch, word.pinned, word.previous)
            if patch is not None
        ]
        applied = self.state.applied
        known = [applied] if applied is not None and applied.release == self.host.release else []
        for patch in (*offered, *known):
            if patch.name in in_force and in_force[patch.name] in ("", patch.build_id):
                return patch
        return None

    def _situation(
        self,
        times: RepositoryTimes,
        own: FollowedPatch | None,
        document: PublishedPatch | None,
    ) -> HostSituation:
        state, kept = self.state, self.host.kept().values()
        aside = {module.sha256 for module in kept if module.set_aside}
        if state.aside is not None:
            aside.add(state.aside.sha256)
        return HostSituation(
            self.host.machine_id,
            times.now,
            own.sha256 if own is not None else "",
            document.published if document is not None else "",
            state.hold,
            state.pin,
            frozenset(aside),
            self.settings.delay,
        )

    def _lacks(self, patch: PublishedPatch) -> bool:
        """Whether a live patch is not in force, or not installed where it is to be."""
        in_force = self.host.in_force().get(patch.name)
        if in_force is None or in_force not in ("", patch.build_id):
            return True
        return lacks_at_boot(self.host, self.settings, patch)


def lacks_at_boot(host: FollowingHost, settings: FollowSettings, patch: PublishedPatch) -> bool:
    """Whether a live patch is not installed for the next boots, and is to be."""
    kept = host.kept().get(patch.name)
    return settings.at_boot and (kept is None or kept.sha256 != patch.sha256)


def is_same(own: FollowedPatch | None, patch: PublishedPatch | None) -> bool:
    """Whether a live patch that a host has is a published one."""
    return own is not None and patch is not None and own.sha256 == patch.sha256


def _same(one: FollowAnswer, other: FollowAnswer) -> bool:
    wanted, again = one.verdicts.wanted, other.verdicts.wanted
    return wanted is not None and again is not None and wanted.sha256 == again.sha256
