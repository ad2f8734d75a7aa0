# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose keys count: makes a repository, and proposes other keys, thresholds and lifetimes.

A proposal is staged metadata of the role above: of ``root`` for the four roles of the top level, of
``targets`` for those of kernels and rings.  Where a role gets other keys, its own metadata is
staged anew as well, for its new holders to sign, and all of it is published together
(`suture.repo.settling`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Role, Root, Targets

from suture.errors import (
    REPOSITORY_EXISTS,
    REPOSITORY_MISSING,
    ROLE_IMPOSSIBLE,
    ROLE_UNKNOWN,
    SIGNATURES_MISSING,
    SIGNATURES_OF_OTHER,
    Refusal,
)
from suture.host import files
from suture.repo import documents
from suture.repo.documents import PATCHES_ROLE, RELEASE, RING, RING_ROLE
from suture.repo.settling import ONLINE, Settlement, next_version, settle
from suture.repo.tree import DAYS, TOP, PublishedState, RepositoryTree, parsed


@dataclass(frozen=True, slots=True)
class Holders:
    """The keys of a role, and how many of them have to sign."""

    keys: tuple[Key, ...]
    threshold: int = 1


@dataclass(frozen=True, slots=True)
class RoleChange:
    """What is to be different about a role.

    :ivar add: keys that sign for it from then on.
    :ivar remove: identifiers of keys that no longer do.
    :ivar threshold: how many have to sign; None for as many as before.
    :ivar days: how long its metadata lives; None for as long as before.
    """

    add: tuple[Key, ...] = ()
    remove: tuple[str, ...] = ()
    threshold: int | None = None
    days: int | None = None


@dataclass(frozen=True, slots=True)
class FirstRoles:
    """The roles that a repository begins with.

    :ivar patches: for each kernel of `releases`.
    :ivar rings: for each ring of `ring_names`.
    """

    root: Holders
    targets: Holders
    online: Holders
    patches: Holders
    rings: Holders
    releases: tuple[str, ...] = ()
    ring_names: tuple[str, ...] = ()
    days: Mapping[str, int] = field(default_factory=dict)


def paths_of(role: str) -> str:
    """Return the pattern of the files that a role may vouch for.  :raises Refusal:
    ``role-unknown``"""
    for prefix, form, directory in (
        (PATCHES_ROLE, RELEASE, "patches"),
        (RING_ROLE, RING, "rings"),
    ):
        if role.startswith(prefix) and form.fullmatch(role.removeprefix(prefix)):
            return f"{directory}/{role.removeprefix(prefix)}/*"
    raise Refusal(ROLE_UNKNOWN, role, "is neither patches-RELEASE nor ring-NAME")


def create(path: Path, first: FirstRoles, signers: Sequence[Signer]) -> Settlement:
    """Make a repository, staged, and published as far as the signers suffice.

    :raises Refusal: ``repository-exists``, ``role-impossible``, ``role-unknown``, and as `settle`
    """
    tree = RepositoryTree(path)
    if tree.exists:
        raise Refusal(REPOSITORY_EXISTS, str(path), "is a repository already")
    delegated = {f"{PATCHES_ROLE}{release}": first.patches for release in first.releases}
    delegated |= {f"{RING_ROLE}{name}": first.rings for name in first.ring_names}
    top = {"root": first.root, "targets": first.targets} | dict.fromkeys(ONLINE, first.online)
    for role, holders in (top | delegated).items():
        _check(role, {key.keyid for key in holders.keys}, holders.threshold)
    root = Root(consistent_snapshot=True)
    for role, holders in top.items():
        for key in holders.keys:
            root.add_key(key, role)
        root.roles[role].threshold = holders.threshold
    targets = Targets(delegations=Delegations({}, {}))
    for role, holders in delegated.items():
        _delegate(targets, role, holders)
    staged: dict[str, Root | Targets] = {role: Targets() for role in delegated}
    drafts: dict[str, Metadata[Any]] = {}
    for role, signed in (staged | {"targets": targets, "root": root}).items():
        if days := first.days.get(role):
            signed.unrecognized_fields[DAYS] = days
        drafts[role] = next_version(role, signed, 1)
    with files.locked(path / ".lock"):
        return settle(tree, signers, drafts)


def propose(tree: RepositoryTree, role: str, change: RoleChange) -> tuple[Path, ...]:
    """Stage other keys, another threshold or another lifetime for a role, or a new role.

    :return: what was staged
    :raises Refusal: ``repository-missing``, ``repository-damaged``, ``role-unknown``,
        ``role-impossible``, ``signatures-missing``
    """
    with tree.changing():
        before = tree.published()
        staged = tree.staged(before)
        if role in TOP:
            return _propose_top(tree, before, staged, role, change)
        return _propose_delegated(tree, before, staged, role, change)


def _propose_top(
    tree: RepositoryTree,
    before: PublishedState,
    staged: Mapping[str, Metadata[Any]],
    role: str,
    change: RoleChange,
) -> tuple[Path, ...]:
    root = draft(before, staged, "root", may_exist=True)
    signed: Root = root.signed
    there = signed.roles[role]
    _change_holders(signed, there, role, change)
    made = []
    if role == "root" and change.days:
        root = _with_days("root", root, change.days)
    elif change.days and role in ONLINE:
        raise Refusal(ROLE_UNKNOWN, role, "its lifetime is given when it is renewed: --days")
    if role == "targets" and before.version("targets"):
        targets = draft(before, staged, "targets", may_exist=True)
        made.append(tree.stage("targets", _with_days("targets", targets, change.days)))
    return (*made, tree.stage("root", root))


def _change_holders(signed: Root | Targets, there: Role, role: str, change: RoleChange) -> None:
    """Change who holds a role, and how many of them have to sign.

    :param signed: what names the holders.
    :param there: the role, as `signed` has it.
    :raises Refusal: as `_no_such_key` and `_check`
    """
    for key in change.add:
        signed.add_key(key, role)
    for keyid in change.remove:
        if keyid not in there.keyids:
            raise _no_such_key(role, keyid)
        signed.revoke_key(keyid, role)
    there.threshold = change.threshold or there.threshold
    _check(role, set(there.keyids), there.threshold)


def _propose_delegated(
    tree: RepositoryTree,
    before: PublishedState,
    staged: Mapping[str, Metadata[Any]],
    role: str,
    change: RoleChange,
) -> tuple[Path, ...]:
    paths_of(role)
    targets = draft(before, staged, "targets", may_exist=True)
    signed: Targets = targets.signed
    delegations = signed.delegations or Delegations({}, {})
    signed.delegations = delegations
    there = (delegations.roles or {}).get(role)
    if there is None:
        if change.remove or not change.add:
            raise Refusal(ROLE_UNKNOWN, role, "the repository has no such role")
        keys = {key.keyid: key for key in change.add}
        _check(role, set(keys), change.threshold or 1)
        _delegate(signed, role, Holders(tuple(keys.values()), change.threshold or 1))
        own: Metadata[Any] = next_version(role, Targets(), 1)
    else:
        _change_holders(signed, there, role, change)
        own = draft(before, staged, role, may_exist=True)
    own = _with_days(role, own, change.days)
    return (tree.stage(role, own), tree.stage("targets", targets))


def renew(
    tree: RepositoryTree, roles: Sequence[str], signers: Sequence[Signer], days: int | None = None
) -> Settlement:
    """Sign anew what would expire.

    Always the timestamp and the snapshot; of the other roles, those that `roles` names, and those
    for which enough keys are at hand and half of whose life is over.

    :raises Refusal: ``role-unknown``, ``signatures-missing``, and as `settle`
    """
    with tree.changing():
        before = tree.published()
        if before.root is None:
            raise Refusal(REPOSITORY_MISSING, str(tree.path), "its first root lacks signatures")
        staged = tree.staged(before)
        for role in roles:
            if not before.version(role) or role in ONLINE:
                raise Refusal(ROLE_UNKNOWN, role, "the repository has no metadata of it to renew")
        here = {signer.public_key.keyid for signer in signers}
        due = [role for role in before.roles if _is_due(before, role, here)]
        drafts: dict[str, Metadata[Any]] = {}
        for role in dict.fromkeys([*roles, *due]):
            if role not in staged or role in roles:
                made = draft(before, staged, role)
                drafts[role] = _with_days(role, made, days if role in roles else None)
        return settle(tree, signers, drafts, renew=True)


def _is_due(before: PublishedState, role: str, here: set[str]) -> bool:
    """Whether half of the life of a role's metadata is over, and enough of its keys are here."""
    signed = before.roles[role].signed
    life = int(signed.unrecognized_fields.get(DAYS, 0)) * 86_400
    if (signed.expires - documents.now()).total_seconds() > life / 2:
        return False
    above: Any = before.root if role == "targets" else before.roles["targets"]
    try:
        needs = above.signed.get_delegated_role(role)
    except ValueError:
        return False
    return len(here & set(needs.keyids)) >= int(needs.threshold)


def sign_staged(tree: RepositoryTree, signers: Sequence[Signer]) -> Settlement:
    """Sign all that is staged for the signers' roles.  :raises Refusal: as `settle`"""
    with tree.changing():
        return settle(tree, signers)


def collect(tree: RepositoryTree, paths: Sequence[Path]) -> Settlement:
    """Take over the signatures of copies of staged metadata that were signed elsewhere.

    :raises Refusal: ``signatures-of-other``, ``repository-damaged``, ``file-unreadable``
    """
    with tree.changing():
        staged = tree.staged(tree.published())
        for path in paths:
            role = path.name.removesuffix(".json")
            content, where = files.read_bytes(path), str(path)
            other: Metadata[Any] = (
                parsed(Root, content, where) if role == "root" else parsed(Targets, content, where)
            )
            metadata = staged.get(role)
            if metadata is None or metadata.signed_bytes != other.signed_bytes:
                raise Refusal(SIGNATURES_OF_OTHER, str(path), f"is not what is staged of {role}")
            for keyid, signature in other.signatures.items():
                metadata.signatures.setdefault(keyid, signature)
            tree.stage(role, metadata)
        return settle(tree, ())


def drop(tree: RepositoryTree, role: str) -> None:
    """Remove staged metadata.  :raises Refusal: ``role-unknown``, ``repository-missing``"""
    with tree.changing():
        tree.drop(role)


def draft(
    before: PublishedState,
    staged: Mapping[str, Metadata[Any]],
    role: str,
    *,
    may_exist: bool = False,
) -> Metadata[Any]:
    """Return the next version of a role's metadata, to be changed and staged.

    :param may_exist: go on with what is staged; its signatures are dropped.
    :raises Refusal: ``signatures-missing``, ``role-unknown``
    """
    there = staged.get(role)
    if there is not None and not may_exist:
        found = f"version {there.signed.version} waits for signatures"
        raise Refusal(SIGNATURES_MISSING, role, found)
    metadata = there or (before.root if role == "root" else before.roles.get(role))
    if metadata is None:
        raise Refusal(ROLE_UNKNOWN, role, "the repository has no such role")
    return next_version(role, metadata.signed, before.version(role) + 1)


def _with_days(role: str, metadata: Metadata[Any], days: int | None) -> Metadata[Any]:
    if days is None:
        return metadata
    metadata.signed.unrecognized_fields[DAYS] = days
    return next_version(role, metadata.signed, metadata.signed.version)


def _delegate(targets: Targets, role: str, holders: Holders) -> None:
    assert targets.delegations is not None
    roles = targets.delegations.roles
    assert roles is not None
    roles[role] = DelegatedRole(role, [], holders.threshold, True, [paths_of(role)])
    for key in holders.keys:
        targets.add_key(key, role)


def _check(role: str, keyids: set[str], threshold: int) -> None:
    if threshold < 1 or len(keyids) < threshold:
        number = f"{len(keyids)} key{'' if len(keyids) == 1 else 's'}"
        raise Refusal(ROLE_IMPOSSIBLE, role, f"would have {number}, and a threshold of {threshold}")


def _no_such_key(role: str, keyid: str) -> Refusal:
    return Refusal(ROLE_UNKNOWN, role, f"has no key {keyid[:12]}")
