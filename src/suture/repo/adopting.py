# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes over what another repository vouches for, for a site that has a root, rings and a clock of
its own: behind an air gap, or because it rolls out by itself.

The site's ``targets`` delegates ``patches-RELEASE`` to the keys of the other repository's release
managers, and their metadata is published here as they have signed it.  So the site chooses and
halts, and cannot vouch; the others vouch and withdraw, and cannot choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.metadata import DelegatedRole, Delegations, Key, Metadata, Targets

from suture.errors import ROLE_UNKNOWN, Refusal
from suture.host import files
from suture.repo.client import Consultation, consulted, refused
from suture.repo.documents import PATCHES_ROLE
from suture.repo.fetching import RepositoryFetcher
from suture.repo.mirror import LastSeen
from suture.repo.roles import draft, paths_of
from suture.repo.settling import Settlement, settle
from suture.repo.tree import PublishedState, RepositoryTree, parsed

SEEN = ".adopted"
"""The file of a repository with what it has seen of those that it takes over from, by kernel."""


@dataclass(frozen=True, slots=True)
class AdoptedRole:
    """The metadata of another repository's release role, verified.

    :ivar holders: its keys; `threshold` of them have signed it.
    """

    role: str
    metadata: Metadata[Targets]
    holders: tuple[Key, ...]
    threshold: int


def adopt(
    tree: RepositoryTree,
    url: str,
    root: bytes,
    release: str,
    signers: Sequence[Signer],
    proxy: str = "",
) -> Settlement:
    """Publish what another repository vouches for, for one kernel.

    Where the other's keys are new here, ``targets`` is staged with them, for the site's own holders
    to sign; later runs need the online key alone.

    :param root: the other repository's root metadata.
    :raises Refusal: as `suture.repo.client.consulted`, ``role-unknown``, ``repository-missing``,
        ``signatures-missing``, and as `settle`
    """
    with tree.changing():
        seen = LastSeen(tree.path / f"{SEEN}-{release}")
        with consulted(url, "", release, root, seen, RepositoryFetcher(proxy)) as found:
            there = _role_of(found, release)
            found.times()
            for target in there.metadata.signed.targets.values():
                with files.temporary_directory() as work, refused(url):
                    place = work / "file"
                    found.updater.download_target(target, str(place))
                    tree.add(target.path, place.read_bytes())
        before = tree.published()
        staged = tree.staged(before)
        drafts: dict[str, Metadata[Any]] = {}
        if there.metadata.signed.version > before.version(there.role):
            drafts[there.role] = there.metadata
        if not _is_delegated(before, there):
            drafts["targets"] = _delegating(before, staged, there)
        done = settle(tree, signers, drafts)
        files.write_atomic(seen.path, seen.content)
        return done


def _role_of(found: Consultation, release: str) -> AdoptedRole:
    """Return the other repository's release role."""
    role = f"{PATCHES_ROLE}{release}"
    trusted = found.updater._trusted_set
    delegations = trusted.targets.delegations
    needs = (delegations.roles or {}).get(role) if delegations is not None else None
    if needs is None or delegations is None:
        raise Refusal(ROLE_UNKNOWN, found.url, f"it has no {role}")
    with refused(found.url):
        found.updater._load_targets(role, "targets")
    content = found.updater._load_local_metadata(role)
    keys = tuple(delegations.keys[keyid] for keyid in needs.keyids)
    return AdoptedRole(role, parsed(Targets, content, role), keys, needs.threshold)


def _is_delegated(before: PublishedState, there: AdoptedRole) -> bool:
    """Whether the site delegates the role to these keys already."""
    targets = before.roles.get("targets")
    with suppress(ValueError):
        if targets is not None:
            needs = targets.signed.get_delegated_role(there.role)
            here = (set(needs.keyids), needs.threshold)
            return here == ({key.keyid for key in there.holders}, there.threshold)
    return False


def _delegating(
    before: PublishedState, staged: dict[str, Metadata[Any]], there: AdoptedRole
) -> Metadata[Any]:
    targets = draft(before, staged, "targets", may_exist=True)
    delegations = targets.signed.delegations or Delegations({}, {})
    targets.signed.delegations = delegations
    roles = delegations.roles
    assert roles is not None
    old = roles.get(there.role)
    for keyid in list(old.keyids) if old is not None else []:
        targets.signed.revoke_key(keyid, there.role)
    paths = [paths_of(there.role)]
    roles[there.role] = DelegatedRole(there.role, [], there.threshold, True, paths)
    for key in there.holders:
        targets.signed.add_key(key, there.role)
    return targets
