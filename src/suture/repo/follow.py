# SPDX-License-Identifier: GPL-2.0-or-later
"""One run of a host that follows a repository.

1. What the repository says is asked and verified (`suture.repo.client`), and what that means for
   this host is decided (`suture.repo.choice`).  Where the repository cannot be asked, or is not to
   be trusted, or its metadata has expired, the run ends here: nothing is loaded or unloaded.
2. To load a live patch, its module is downloaded, and then the repository is asked once more: a
   halt or a withdrawal that came meanwhile counts.  That the load begins is written down, durably.
   It goes through all checks of 'suture load'.
3. What was loaded is installed for the next boots, and what it replaced is uninstalled.
4. What was withdrawn, or is chosen no longer, is uninstalled first and then unloaded, unless what
   took its place has already replaced it.

Every step looks at what is there first.  So a run that was killed anywhere leaves a host from which
the next run goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from suture.core import lock
from suture.core.following import FollowingFile, FollowReport
from suture.errors import CHOICE_NOT_VOUCHED, Refusal
from suture.host import paths
from suture.repo import documents
from suture.repo.answers import FollowAnswer, FollowQuestion, is_same
from suture.repo.applying import FollowChanges, FollowMemory, first_line, with_deaths
from suture.repo.choice import RepositoryWord, WaitReason
from suture.repo.fetching import RepositoryFetcher
from suture.repo.host import FollowingHost
from suture.repo.settings import FollowSettings

LOCK = paths.LOCK.with_name("suture-follow.lock")


@dataclass(frozen=True, slots=True)
class FollowOutcome:
    """What a run came to.

    :ivar loaded: the live patch that has come into force; "" for none.
    :ivar unloaded: those that were taken out.
    :ivar would_load: in a dry run; `would_unload` too.
    :ivar refusals: what went wrong, the first of them first.
    """

    report: FollowReport
    loaded: str = ""
    unloaded: tuple[str, ...] = ()
    would_load: str = ""
    would_unload: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()


class FollowRun:
    """A run, which holds the lock.

    :param fetcher: makes what downloads files, anew for each time that the repository is asked.
    """

    def __init__(
        self,
        settings: FollowSettings,
        host: FollowingHost,
        file: FollowingFile,
        fetcher: Callable[[], RepositoryFetcher],
    ) -> None:
        known = with_deaths(file.read(), host)
        state = replace(known, url=settings.url, ring=settings.ring)
        self.memory = FollowMemory(file, state)
        self.question = FollowQuestion(settings, host, file, state, fetcher)
        self.changes = FollowChanges(settings, host, self.memory)

    def dry(self) -> FollowOutcome:
        """Say what a run would do."""
        try:
            answer = self.question.ask(download=False)
        except Refusal as refusal:
            return FollowOutcome(self._failed(refusal), refusals=(refusal,))
        verdicts, own = answer.verdicts, answer.own
        loads = verdicts.wanted is not None and not is_same(own, verdicts.wanted)
        out = (own.name,) if own is not None and verdicts.out and not loads else ()
        return FollowOutcome(
            self._report(answer),
            would_load=verdicts.wanted.name if loads and verdicts.wanted else "",
            would_unload=out,
        )

    def once(self) -> FollowOutcome:
        """Do what the repository says."""
        changes, memory = self.changes, self.memory
        try:
            answer = self.question.settled_answer()
        except Refusal as refusal:
            memory.remember(last=self._failed(refusal))
            return FollowOutcome(memory.state.last, refusals=(refusal,))
        changes.forget_aside(answer.word)
        if answer.verdicts.waits is WaitReason.NOT_VOUCHED:
            changes.refusals.append(_not_vouched(answer.word))
        if not memory.state.hold:
            changes.make(answer)
        memory.remember(last=self._report(answer))
        return FollowOutcome(
            memory.state.last,
            loaded=changes.loaded,
            unloaded=tuple(changes.unloaded),
            refusals=tuple(changes.refusals),
        )

    def _report(self, answer: FollowAnswer) -> FollowReport:
        word, times = answer.word, answer.times
        offered = word.patch
        own = self.question.own(word)
        document = next(
            (one for one in (offered, word.previous, answer.own_document) if is_same(own, one)),
            None,
        )
        missing = set(offered.cves) if offered is not None else set()
        missing -= set(document.cves) if document is not None else set()
        named = word.choice.patch.name if word.choice and word.choice.patch else ""
        until = times.patches_expire
        day = f"{until:%Y-%m-%d}" if until is not None and own is not None else ""
        first = self.changes.refusals[0] if self.changes.refusals else None
        aside = self.memory.state.aside
        why = answer.verdicts.why
        if aside is not None and answer.verdicts.waits == "set-aside":
            why = f"{aside.name} failed here: {aside.found}"
        return FollowReport(
            documents.stamp(documents.now()),
            self.question.host.release,
            named,
            tuple(sorted(missing)),
            (document.reboot_by if document is not None else "") or day,
            documents.stamp(times.signed),
            documents.stamp(times.expires),
            answer.verdicts.waits.value if answer.verdicts.waits is not None else "",
            why,
            first.code if first is not None else "",
            first_line(first) if first is not None else "",
        )

    def _failed(self, refusal: Refusal) -> FollowReport:
        """Return the report of a run that got no answer: with what the last good one said."""
        return replace(
            self.memory.state.last,
            when=documents.stamp(documents.now()),
            error=refusal.code,
            found=first_line(refusal),
        )


def run(
    settings: FollowSettings,
    host: FollowingHost,
    file: FollowingFile | None = None,
    *,
    dry: bool = False,
    fetcher: Callable[[], RepositoryFetcher] | None = None,
    lock_file: Path = LOCK,
) -> FollowOutcome:
    """Follow the repository once.

    :param dry: change nothing but what was seen of the repository.
    :raises Refusal: ``another-at-work``, ``follow-state-damaged``, ``path-untrusted``,
        ``store-unwritable``; what else goes wrong is in the outcome
    """
    with held(lock_file):
        making = fetcher or (lambda: RepositoryFetcher(settings.proxy))
        begun = FollowRun(settings, host, file or FollowingFile(), making)
        return begun.dry() if dry else begun.once()


def held(lock_file: Path = LOCK) -> AbstractContextManager[None]:
    """Be the only process that follows, during the block.  :raises Refusal: ``another-at-work``"""
    return lock.held("follow a repository", path=lock_file)


def _not_vouched(word: RepositoryWord) -> Refusal:
    assert word.choice is not None
    assert word.choice.patch is not None
    chosen = word.choice.patch
    found = f"it chose {chosen.name}, SHA-256 {chosen.sha256[:16]}..."
    return Refusal(CHOICE_NOT_VOUCHED, f"the ring {word.choice.ring}", found)
