# SPDX-License-Identifier: GPL-2.0-or-later
"""A repository as a whole: its roles, what waits for signatures, what is published, and what rings
have chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from suture.errors import PATCH_NOT_PUBLISHED, Refusal
from suture.repo import documents, publishing, settling
from suture.repo.differences import changes
from suture.repo.documents import PATCHES_ROLE, RING_ROLE, PublishedPatch, RingChoice, Withdrawal
from suture.repo.keys import holder_of
from suture.repo.settling import RoleSignatures
from suture.repo.tree import PublishedState, RepositoryTree


@dataclass(frozen=True, slots=True)
class RoleOverview:
    """A role.

    :ivar version: of its published metadata.
    :ivar expires: when that expires.
    :ivar holders: who signs for it; `threshold` of them have to.
    """

    role: str
    version: int
    expires: str
    holders: tuple[str, ...]
    threshold: int
    is_expired: bool


@dataclass(frozen=True, slots=True)
class StagedOverview:
    """What waits for signatures.

    :ivar changes: what it changes, in words.
    """

    file: Path
    signatures: RoleSignatures
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RepositoryOverview:
    """All of it."""

    path: Path
    roles: tuple[RoleOverview, ...]
    staged: tuple[StagedOverview, ...]
    patches: tuple[PublishedPatch, ...]
    withdrawn: tuple[tuple[str, Withdrawal], ...]
    choices: tuple[RingChoice, ...]

    @property
    def expired(self) -> tuple[str, ...]:
        """The roles that keep hosts from loading anything new."""
        return tuple(role.role for role in self.roles if role.is_expired)


def overview(tree: RepositoryTree) -> RepositoryOverview:
    """Look at a repository.

    :raises Refusal: ``repository-missing``, ``repository-damaged``, ``staged-outdated``
    """
    with tree.changing():
        state = tree.published()
        staged = tree.staged(state)
        waiting = tuple(
            StagedOverview(
                tree.staging / f"{one.role}.json",
                one,
                changes(tree, state, one.role, staged[one.role]),
            )
            for one in settling.signatures(state, staged)
        )
    releases = [
        role.removeprefix(PATCHES_ROLE) for role in state.roles if role.startswith(PATCHES_ROLE)
    ]
    patches: list[PublishedPatch] = []
    withdrawn: list[tuple[str, Withdrawal]] = []
    for release in releases:
        patches += _patches(tree, state, release)
        withdrawn += [(release, entry) for entry in _withdrawn(tree, state, release)]
    return RepositoryOverview(
        tree.path,
        tuple(_roles(state, documents.now())),
        waiting,
        tuple(patches),
        tuple(withdrawn),
        tuple(_choices(tree, state)),
    )


def release_of(tree: RepositoryTree, name: str) -> str:
    """Return the one kernel for which a live patch is published.

    :raises Refusal: ``patch-not-published``, also if it is published for several
    """
    found = [patch.release for patch in overview(tree).patches if patch.name == name]
    if len(found) != 1:
        kernels = f"for {', '.join(found)}: say which with --kernel" if found else "for no kernel"
        raise Refusal(PATCH_NOT_PUBLISHED, name, f"is published {kernels}")
    return found[0]


def _roles(state: PublishedState, now: datetime) -> Iterator[RoleOverview]:
    if state.root is None or state.timestamp is None or state.snapshot is None:
        return
    root = state.root.signed
    targets = state.roles["targets"].signed
    top: dict[str, Any] = {
        "root": root,
        "targets": targets,
        "snapshot": state.snapshot.signed,
        "timestamp": state.timestamp.signed,
    }
    for name, signed in top.items():
        yield _role(root, name, signed, now)
    for name in targets.delegations.roles or {} if targets.delegations else {}:
        yield _role(targets, name, state.roles[name].signed, now)


def _role(above: Any, name: str, signed: Any, now: datetime) -> RoleOverview:
    needs = above.get_delegated_role(name)
    holders = tuple(sorted(holder_of(above.get_key(keyid)) for keyid in needs.keyids))
    expires = documents.stamp(signed.expires)
    return RoleOverview(
        name, signed.version, expires, holders, needs.threshold, signed.is_expired(now)
    )


def _patches(tree: RepositoryTree, state: PublishedState, release: str) -> list[PublishedPatch]:
    signed = state.roles[f"{PATCHES_ROLE}{release}"].signed
    names = sorted(Path(path).stem for path in signed.targets if path.endswith(".ko"))
    return [publishing.vouched_for(tree, signed, release, name) for name in names]


def _withdrawn(tree: RepositoryTree, state: PublishedState, release: str) -> tuple[Withdrawal, ...]:
    signed = state.roles[f"{PATCHES_ROLE}{release}"].signed
    return publishing.withdrawals(tree, signed, release).entries


def _choices(tree: RepositoryTree, state: PublishedState) -> Iterator[RingChoice]:
    for role, metadata in state.roles.items():
        if not role.startswith(RING_ROLE):
            continue
        for path in sorted(metadata.signed.targets):
            release = Path(path).name.removesuffix(".json")
            ring = role.removeprefix(RING_ROLE)
            choice = publishing.choice_of(tree, metadata.signed, ring, release)
            if choice is not None:
                yield choice
