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
from suture.core.boot import NOT_ITS_FAULT
from suture.core.following import (
    AsidePatch,
    FollowedPatch,
    Following,
    FollowingFile,
    FollowReport,
    LoadAttempt,
)
from suture.core.store import TRIES
from suture.errors import ALREADY_LOADED, CHOICE_NOT_VOUCHED, LOAD_DIED, Refusal
from suture.host import paths
from suture.repo import documents
from suture.repo.choice import HostSituation, RepositoryWord, Verdicts, WaitReason, decide
from suture.repo.client import Consultation, RepositoryTimes, consulted
from suture.repo.documents import PublishedPatch
from suture.repo.fetching import RepositoryFetcher
from suture.repo.host import FollowingHost
from suture.repo.settings import FollowSettings

LOCK = paths.LOCK.with_name("suture-follow.lock")
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


@dataclass(frozen=True, slots=True)
class Answer:
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
        self.settings = settings
        self.host = host
        self.file = file
        self.fetcher = fetcher
        self.state = replace(_with_deaths(file.read(), host), url=settings.url, ring=settings.ring)
        self.refusals: list[Refusal] = []
        self.unloaded: list[str] = []
        self.loaded = ""

    def dry(self) -> FollowOutcome:
        """Say what a run would do."""
        try:
            answer = self._ask(download=False)
        except Refusal as refusal:
            return FollowOutcome(self._failed(refusal), refusals=(refusal,))
        verdicts, own = answer.verdicts, answer.own
        loads = verdicts.wanted is not None and not _is(own, verdicts.wanted)
        out = (own.name,) if own is not None and verdicts.out and not loads else ()
        return FollowOutcome(
            self._report(answer),
            would_load=verdicts.wanted.name if loads and verdicts.wanted else "",
            would_unload=out,
        )

    def once(self) -> FollowOutcome:
        """Do what the repository says."""
        try:
            answer = self._settled_answer()
        except Refusal as refusal:
            self._remember(last=self._failed(refusal))
            return FollowOutcome(self.state.last, refusals=(refusal,))
        self._forget_aside(answer.word)
        if answer.verdicts.waits is WaitReason.NOT_VOUCHED:
            self.refusals.append(_not_vouched(answer.word))
        if not self.state.hold:
            self._act(answer)
        self._remember(last=self._report(answer))
        return FollowOutcome(
            self.state.last,
            loaded=self.loaded,
            unloaded=tuple(self.unloaded),
            refusals=tuple(self.refusals),
        )

    def _settled_answer(self) -> Answer:
        """Return an answer that is still the repository's after the module was downloaded."""
        for _ in range(ROUNDS):
            answer = self._ask(download=True)
            if answer.module is None:
                return answer
            again = self._ask(download=False)
            if _same(answer, again):
                return replace(again, module=answer.module)
        return replace(again, module=None)

    def _ask(self, *, download: bool) -> Answer:
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
            own = self._own(word)
            document = found.patch(own.name) if own is not None else None
            verdicts = decide(word, self._situation(times, own, document))
            wanted, module = verdicts.wanted, None
            if download and wanted is not None and self._lacks(wanted):
                module = found.module(wanted)
            return Answer(word, verdicts, times, own, document, module)

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

    def _own(self, word: RepositoryWord) -> FollowedPatch | None:
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
        return self._lacks_at_boot(patch)

    def _lacks_at_boot(self, patch: PublishedPatch) -> bool:
        kept = self.host.kept().get(patch.name)
        return self.settings.at_boot and (kept is None or kept.sha256 != patch.sha256)

    def _act(self, answer: Answer) -> None:
        wanted, own = answer.verdicts.wanted, answer.own
        is_there = _is(own, wanted)
        if wanted is not None and not is_there and answer.module is not None:
            is_there = self._load(wanted, answer.module, answer.verdicts.replace)
        if wanted is not None and is_there:
            self._keep(wanted, answer.module)
            if own is not None and own.sha256 != wanted.sha256:
                self._uninstall(own)
                if self._is_in_force(own):
                    self._unload(own)
            self._forget_replaced(wanted)
            self._remember(applied=_followed(wanted), attempt=None)
        elif own is not None and answer.verdicts.out:
            self._take_out(own)
        elif own is not None:
            self._remember(applied=own)

    def _load(self, patch: PublishedPatch, module: bytes, may_replace: bool) -> bool:
        """Load a live patch; return whether it is in force."""
        before = self.state.attempt
        died = before.died if before is not None and before.sha256 == patch.sha256 else 0
        attempt = LoadAttempt(patch.sha256, patch.name, self.host.boot_id, died)
        self._remember(attempt=attempt)
        try:
            self.host.load(module, self._where(patch), replace=may_replace)
        except Refusal as refusal:
            if refusal.kind is ALREADY_LOADED:
                return True
            self.refusals.append(refusal)
            if refusal.kind in NOT_ITS_FAULT:
                self._remember(attempt=replace(attempt, boot="") if died else None)
            else:
                aside = _aside(patch.sha256, patch.name, refusal)
                self._remember(attempt=None, aside=aside)
            return False
        self.loaded = patch.name
        return True

    def _keep(self, patch: PublishedPatch, module: bytes | None) -> None:
        """Install what is in force for the next boots, where that is wanted."""
        if module is None or not self._lacks_at_boot(patch):
            return
        try:
            self.host.install(module, self._where(patch))
        except Refusal as refusal:
            self.refusals.append(refusal)

    def _forget_replaced(self, wanted: PublishedPatch) -> None:
        """Uninstall what was installed from the repository before, if a killed run left it so."""
        applied = self.state.applied
        if applied is not None and applied.sha256 != wanted.sha256:
            self._uninstall(applied)

    def _take_out(self, patch: FollowedPatch) -> None:
        """Take a live patch out, first of what boots load."""
        self._uninstall(patch)
        if self._unload(patch):
            self._remember(applied=None)

    def _uninstall(self, patch: FollowedPatch) -> None:
        kept = self.host.kept().get(patch.name)
        if kept is None or kept.sha256 != patch.sha256:
            return
        try:
            self.host.uninstall(patch.name)
        except Refusal as refusal:
            self.refusals.append(refusal)

    def _unload(self, patch: FollowedPatch) -> bool:
        try:
            self.host.unload(patch.name)
        except Refusal as refusal:
            self.refusals.append(refusal)
            return False
        self.unloaded.append(patch.name)
        return True

    def _is_in_force(self, patch: FollowedPatch) -> bool:
        return self.host.in_force().get(patch.name) in ("", patch.build_id)

    def _where(self, patch: PublishedPatch) -> str:
        path = documents.patch_path(patch.release, patch.name)
        return f"{self.settings.url.rstrip('/')}/targets/{path}"

    def _forget_aside(self, word: RepositoryWord) -> None:
        """Try a live patch that failed again once another one is offered."""
        aside = self.state.aside
        if aside is None or word.choice is None:
            return
        named = [word.choice.patch, word.choice.previous]
        offered = {chosen.sha256 for chosen in named if chosen is not None}
        offered |= {word.pinned.sha256} if word.pinned is not None else set()
        if aside.sha256 not in offered:
            self._remember(aside=None)

    def _report(self, answer: Answer) -> FollowReport:
        word, times = answer.word, answer.times
        offered = word.patch
        own = self._own(word)
        document = next(
            (one for one in (offered, word.previous, answer.own_document) if _is(own, one)), None
        )
        missing = set(offered.cves) if offered is not None else set()
        missing -= set(document.cves) if document is not None else set()
        named = word.choice.patch.name if word.choice and word.choice.patch else ""
        until = times.patches_expire
        day = f"{until:%Y-%m-%d}" if until is not None and own is not None else ""
        first = self.refusals[0] if self.refusals else None
        aside = self.state.aside
        why = answer.verdicts.why
        if aside is not None and answer.verdicts.waits == "set-aside":
            why = f"{aside.name} failed here: {aside.found}"
        return FollowReport(
            documents.stamp(documents.now()),
            self.host.release,
            named,
            tuple(sorted(missing)),
            (document.reboot_by if document is not None else "") or day,
            documents.stamp(times.signed),
            documents.stamp(times.expires),
            answer.verdicts.waits.value if answer.verdicts.waits is not None else "",
            why,
            first.code if first is not None else "",
            _line(first) if first is not None else "",
        )

    def _failed(self, refusal: Refusal) -> FollowReport:
        """Return the report of a run that got no answer: with what the last good one said."""
        return replace(
            self.state.last,
            when=documents.stamp(documents.now()),
            error=refusal.code,
            found=_line(refusal),
        )

    def _remember(self, **changes: object) -> None:
        changed = replace(self.state, **changes)  # type: ignore[arg-type]
        if changed != self.state:
            self.file.write(changed)
            self.state = changed


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


def _with_deaths(state: Following, host: FollowingHost) -> Following:
    """Count a load that was begun in an earlier boot, and never came to an end, against the live
    patch."""
    attempt = state.attempt
    if attempt is None or attempt.boot in ("", host.boot_id):
        return state
    died = replace(attempt, boot="", died=attempt.died + 1)
    if died.died < TRIES:
        return replace(state, attempt=died)
    refusal = Refusal(LOAD_DIED, attempt.name, f"the host went down {died.died} times")
    return replace(state, attempt=None, aside=_aside(attempt.sha256, attempt.name, refusal))


def _aside(sha256: str, name: str, refusal: Refusal) -> AsidePatch:
    when = documents.stamp(documents.now())
    return AsidePatch(sha256, name, refusal.code, _line(refusal), when)


def _line(refusal: Refusal) -> str:
    return str(refusal).partition("\n")[0]


def _followed(patch: PublishedPatch) -> FollowedPatch:
    return FollowedPatch(patch.release, patch.name, patch.sha256, patch.build_id)


def _is(own: FollowedPatch | None, patch: PublishedPatch | None) -> bool:
    return own is not None and patch is not None and own.sha256 == patch.sha256


def _same(one: Answer, other: Answer) -> bool:
    wanted, again = one.verdicts.wanted, other.verdicts.wanted
    return wanted is not None and again is not None and wanted.sha256 == again.sha256
