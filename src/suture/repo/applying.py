# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the changes that a repository's answer asks of a host, each so that a run which is killed
anywhere leaves a host from which the next one goes on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from suture.core.boot import NOT_ITS_FAULT
from suture.core.following import (
    AsidePatch,
    FollowedPatch,
    Following,
    FollowingFile,
    LoadAttempt,
)
from suture.core.store import TRIES
from suture.errors import ALREADY_LOADED, LOAD_DIED, Refusal
from suture.repo import documents
from suture.repo.answers import FollowAnswer, is_same, lacks_at_boot
from suture.repo.choice import RepositoryWord
from suture.repo.documents import PublishedPatch
from suture.repo.host import FollowingHost
from suture.repo.settings import FollowSettings


@dataclass(slots=True)
class FollowMemory:
    """What a host remembers, written down with each change."""

    file: FollowingFile
    state: Following

    def remember(self, **changes: object) -> None:
        """Change fields of the state.  :raises Refusal: ``store-unwritable``, ``path-untrusted``"""
        changed = replace(self.state, **changes)  # type: ignore[arg-type]
        if changed != self.state:
            self.file.write(changed)
            self.state = changed


@dataclass(slots=True)
class FollowChanges:
    """The changes of one run.

    :ivar loaded: the live patch that has come into force; "" for none.
    :ivar unloaded: those that were taken out.
    :ivar refusals: what went wrong, the first of them first.
    """

    settings: FollowSettings
    host: FollowingHost
    memory: FollowMemory
    loaded: str = ""
    unloaded: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def make(self, answer: FollowAnswer) -> None:
        """Do what an answer asks."""
        wanted, own = answer.verdicts.wanted, answer.own
        is_there = is_same(own, wanted)
        if wanted is not None and not is_there and answer.module is not None:
            is_there = self._load(wanted, answer.module, answer.verdicts.replace)
        if wanted is not None and is_there:
            self._keep(wanted, answer.module)
            if own is not None and own.sha256 != wanted.sha256:
                self._uninstall(own)
                if self._is_in_force(own):
                    self._unload(own)
            self._forget_replaced(wanted)
            self.memory.remember(applied=_followed(wanted), attempt=None)
        elif own is not None and answer.verdicts.out:
            self._take_out(own)
        elif own is not None:
            self.memory.remember(applied=own)
        else:
            self._forget_what_is_out(answer.word)

    def _load(self, patch: PublishedPatch, module: bytes, may_replace: bool) -> bool:
        """Load a live patch; return whether it is in force."""
        before = self.memory.state.attempt
        died = before.died if before is not None and before.sha256 == patch.sha256 else 0
        attempt = LoadAttempt(patch.sha256, patch.name, self.host.boot_id, died)
        self.memory.remember(attempt=attempt)
        try:
            self.host.load(module, self._where(patch), replace=may_replace)
        except Refusal as refusal:
            if refusal.kind is ALREADY_LOADED:
                return True
            self.refusals.append(refusal)
            if refusal.kind in NOT_ITS_FAULT:
                self.memory.remember(attempt=replace(attempt, boot="") if died else None)
            else:
                aside = aside_for(patch.sha256, patch.name, refusal)
                self.memory.remember(attempt=None, aside=aside)
            return False
        self.loaded = patch.name
        return True

    def _keep(self, patch: PublishedPatch, module: bytes | None) -> None:
        """Install what is in force for the next boots, where that is wanted."""
        if module is None or not lacks_at_boot(self.host, self.settings, patch):
            return
        try:
            self.host.install(module, self._where(patch))
        except Refusal as refusal:
            self.refusals.append(refusal)

    def _forget_replaced(self, wanted: PublishedPatch) -> None:
        """Uninstall what was installed from the repository before, if a killed run left it so."""
        applied = self.memory.state.applied
        if applied is not None and applied.sha256 != wanted.sha256:
            self._uninstall(applied)

    def _forget_what_is_out(self, word: RepositoryWord) -> None:
        """Uninstall what came from the repository, is not in force, and is no longer wanted."""
        applied, choice = self.memory.state.applied, word.choice
        if applied is None or applied.release != self.host.release:
            return
        is_unwanted = choice is not None and choice.patch is None
        if is_unwanted or word.is_withdrawn(applied.sha256):
            self._uninstall(applied)
            self.memory.remember(applied=None)

    def _take_out(self, patch: FollowedPatch) -> None:
        """Take a live patch out, first of what boots load."""
        self._uninstall(patch)
        if self._unload(patch):
            self.memory.remember(applied=None)

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

    def forget_aside(self, word: RepositoryWord) -> None:
        """Try a live patch that failed again once another one is offered."""
        aside = self.memory.state.aside
        if aside is None or word.choice is None:
            return
        named = [word.choice.patch, word.choice.previous]
        offered = {chosen.sha256 for chosen in named if chosen is not None}
        offered |= {word.pinned.sha256} if word.pinned is not None else set()
        if aside.sha256 not in offered:
            self.memory.remember(aside=None)


def with_deaths(state: Following, host: FollowingHost) -> Following:
    """Count a load that was begun in an earlier boot, and never came to an end, against the live
    patch."""
    attempt = state.attempt
    if attempt is None or attempt.boot in ("", host.boot_id):
        return state
    died = replace(attempt, boot="", died=attempt.died + 1)
    if died.died < TRIES:
        return replace(state, attempt=died)
    refusal = Refusal(LOAD_DIED, attempt.name, f"the host went down {died.died} times")
    return replace(state, attempt=None, aside=aside_for(attempt.sha256, attempt.name, refusal))


def aside_for(sha256: str, name: str, refusal: Refusal) -> AsidePatch:
    """Return the record of a live patch that failed."""
    when = documents.stamp(documents.now())
    return AsidePatch(sha256, name, refusal.code, first_line(refusal), when)


def first_line(refusal: Refusal) -> str:
    """Return the line of a refusal that says what was found."""
    return str(refusal).partition("\n")[0]


def _followed(patch: PublishedPatch) -> FollowedPatch:
    return FollowedPatch(patch.release, patch.name, patch.sha256, patch.build_id)
