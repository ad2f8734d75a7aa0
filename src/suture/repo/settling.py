# SPDX-License-Identifier: GPL-2.0-or-later
"""Signs staged metadata, and publishes what has enough signatures.

1. Each key that is at hand signs what is staged for a role of its.
2. What is staged and has as many signatures as its role's threshold says can be published; a root
   as many as the root before it says, and as itself says.  Whatever would make other published
   metadata lose its signatures, as new keys for a role do, waits until that has its own new ones.
3. With the online keys, a new snapshot and a new timestamp are signed, and everything is written in
   the order that `suture.repo.tree` gives.  Without them it stays staged until they are there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from suture.errors import REPOSITORY_DAMAGED, SIGNING_KEY_UNNEEDED, SIGNING_KEY_UNUSABLE, Refusal
from suture.repo import documents
from suture.repo.keys import holder_of
from suture.repo.tree import DAYS, SIGNED_AT, PublishedState, RepositoryTree, as_bytes

LIFETIMES = {"root": 365, "targets": 182, "patches": 90, "ring": 7, "snapshot": 7, "timestamp": 3}
"""Days that metadata lives, by the kind of its role."""

ONLINE = ("snapshot", "timestamp")


@dataclass(frozen=True, slots=True)
class RoleSignatures:
    """Who has signed a version of a role's metadata, and whose signatures it lacks.

    :ivar missing: how many more it needs.
    :ivar unsigned: the holders who can still sign it.
    """

    role: str
    version: int
    signed: tuple[str, ...]
    unsigned: tuple[str, ...]
    missing: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of staged metadata.

    :ivar published: role -> version.
    :ivar waiting: what is staged still.
    :ivar needs_online: it is only the online keys that are missing.
    """

    published: Mapping[str, int]
    waiting: tuple[RoleSignatures, ...]
    needs_online: bool


def lifetime(role: str) -> int:
    """Return the days that a role's metadata lives unless somebody says otherwise."""
    return LIFETIMES.get(role) or LIFETIMES[role.partition("-")[0]]


def next_version(role: str, signed: Any, version: int) -> Metadata[Any]:
    """Return a copy of metadata as the version that follows, made now, without signatures."""
    made = copy.deepcopy(signed)
    made.version = version
    now = documents.now()
    days = made.unrecognized_fields.setdefault(DAYS, lifetime(role))
    made.unrecognized_fields[SIGNED_AT] = documents.stamp(now)
    made.expires = now + timedelta(days=int(days))
    return Metadata(made)


def settle(
    tree: RepositoryTree,
    signers: Sequence[Signer],
    drafts: Mapping[str, Metadata[Any]] | None = None,
    *,
    renew: bool = False,
) -> Settlement:
    """Sign and publish what can be; the caller holds the tree's lock.

    :param drafts: metadata that is to be staged with this, by role.
    :param renew: sign a new timestamp even if nothing else has changed.
    :raises Refusal: ``signing-key-unneeded``, and nothing has changed; ``signing-key-unusable``,
        ``repository-damaged``, ``staged-outdated``
    """
    before = tree.published()
    staged = tree.staged(before) | dict(drafts or {})
    _refuse_unneeded(before, staged, signers)
    changed = _sign(before, staged, signers) | set(drafts or {})
    # The root last: without it, a directory is no repository yet.
    for role in sorted(changed, key=lambda role: (role == "root", role)):
        tree.stage(role, staged[role])
    ready = _ready(before, staged)
    root = staged["root"] if "root" in ready else before.root
    online = _online(root, signers)
    wanted = bool(ready) or renew or not _is_current(before, root)
    published: dict[str, int] = {}
    if root is not None and online is not None and wanted:
        published = _publish(
            tree, before, {role: staged[role] for role in sorted(ready)}, root, online
        )
    waiting = tuple(
        _missing(before, staged, role, metadata)
        for role, metadata in staged.items()
        if role not in published
    )
    return Settlement(published, waiting, wanted and not published)


def signatures(
    before: PublishedState, staged: Mapping[str, Metadata[Any]]
) -> tuple[RoleSignatures, ...]:
    """Return what staged metadata lacks."""
    return tuple(_missing(before, staged, role, metadata) for role, metadata in staged.items())


def keys_of(
    before: PublishedState, staged: Mapping[str, Metadata[Any]], role: str
) -> dict[str, Key]:
    """Return the keys that may sign the staged metadata of a role, by identifier."""
    found: dict[str, Key] = {}
    for delegator in _delegators(before, staged, role):
        with suppress(ValueError):
            for keyid in delegator.get_delegated_role(role).keyids:
                found[keyid] = delegator.get_key(keyid)
    return found


def _delegators(
    before: PublishedState, staged: Mapping[str, Metadata[Any]], role: str
) -> list[Root | Targets]:
    """Return who says what signatures the staged metadata of a role needs: one, or for a root the
    root before it and itself."""
    if role == "root":
        roots = [before.root, staged.get("root")]
        return [metadata.signed for metadata in roots if metadata is not None]
    above = "root" if role == "targets" else "targets"
    published = before.root if above == "root" else before.roles.get(above)
    metadata = staged.get(above) or published
    return [] if metadata is None else [metadata.signed]


def _sign(
    before: PublishedState, staged: Mapping[str, Metadata[Any]], signers: Sequence[Signer]
) -> set[str]:
    """Sign what is staged, and return the roles whose metadata was."""
    changed: set[str] = set()
    for role, metadata in staged.items():
        wanted = keys_of(before, staged, role)
        for signer in signers:
            keyid = signer.public_key.keyid
            if keyid in wanted and not _has_signed(wanted[keyid], metadata):
                sign(metadata, signer)
                changed.add(role)
    return changed


def sign(metadata: Metadata[Any], signer: Signer) -> None:
    """Add a signature.  :raises Refusal: ``signing-key-unusable``"""
    try:
        metadata.sign(signer, append=True)
    except UnsignedMetadataError as error:
        name = holder_of(signer.public_key)
        raise Refusal(SIGNING_KEY_UNUSABLE, name, f"could not sign: {error}") from error


def _has_signed(key: Key, metadata: Metadata[Any]) -> bool:
    signature = metadata.signatures.get(key.keyid)
    if signature is None:
        return False
    try:
        key.verify_signature(signature, metadata.signed_bytes)
    except UnverifiedSignatureError:
        return False
    return True


def _refuse_unneeded(
    before: PublishedState, staged: Mapping[str, Metadata[Any]], signers: Sequence[Signer]
) -> None:
    """Refuse a key that is of no role that is to be signed: it was meant for something else."""
    needed = {keyid for role in staged for keyid in keys_of(before, staged, role)}
    for root in (before.root, staged.get("root")):
        for role in ONLINE if root is not None else ():
            needed |= set(root.signed.get_delegated_role(role).keyids) if root else set()
    for signer in signers:
        if signer.public_key.keyid not in needed:
            found = f"the key {signer.public_key.keyid[:12]} has nothing to sign"
            raise Refusal(SIGNING_KEY_UNNEEDED, "this repository", found)


def _ready(before: PublishedState, staged: Mapping[str, Metadata[Any]]) -> set[str]:
    """Return the roles of which the staged metadata can be published, all of them together."""
    ready = set(staged)
    while True:
        held = _held_back(before, staged, ready)
        if not held:
            return ready
        ready -= held


def _held_back(
    before: PublishedState, staged: Mapping[str, Metadata[Any]], ready: set[str]
) -> set[str]:
    """Return roles of `ready` that cannot be published together with the others."""
    next_root = staged["root"] if "root" in ready else before.root
    if next_root is None:
        return ready
    if "root" in ready:
        roots = [before.root, next_root] if before.root else [next_root]
        if not all(_verifies(root.signed, "root", next_root) for root in roots):
            return {"root"}
    targets = staged["targets"] if "targets" in ready else before.roles.get("targets")
    if targets is None:
        return ready
    if not _verifies(next_root.signed, "targets", targets):
        return {"targets"} if "targets" in ready else {"root"} & ready
    names = targets.signed.delegations.roles if targets.signed.delegations else None
    for role in names or {}:
        metadata = staged[role] if role in ready else before.roles.get(role)
        if metadata is None or not _verifies(targets.signed, role, metadata):
            return {role} if role in ready else {"targets"} & ready
    return {role for role in ready if role not in ("root", "targets") and role not in (names or {})}


def _verifies(delegator: Root | Targets, role: str, metadata: Metadata[Any]) -> bool:
    result = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    return bool(result)


def _missing(
    before: PublishedState,
    staged: Mapping[str, Metadata[Any]],
    role: str,
    metadata: Metadata[Any],
) -> RoleSignatures:
    signed: dict[str, Key] = {}
    unsigned: dict[str, Key] = {}
    missing = 0
    for delegator in _delegators(before, staged, role):
        try:
            found = delegator.get_verification_result(
                role, metadata.signed_bytes, metadata.signatures
            )
        except ValueError:
            continue  # the delegation was dropped
        signed |= found.signed
        unsigned |= found.unsigned
        missing = max(missing, found.missing)
    return RoleSignatures(
        role,
        metadata.signed.version,
        tuple(sorted(map(holder_of, signed.values()))),
        tuple(sorted(map(holder_of, unsigned.values()))),
        missing,
    )


def _online(
    root: Metadata[Root] | None, signers: Sequence[Signer]
) -> dict[str, list[Signer]] | None:
    """Return the signers of snapshot and timestamp, or None if there are not enough."""
    if root is None:
        return None
    found: dict[str, list[Signer]] = {}
    for role in ONLINE:
        needs = root.signed.get_delegated_role(role)
        here = [signer for signer in signers if signer.public_key.keyid in needs.keyids]
        if len({signer.public_key.keyid for signer in here}) < needs.threshold:
            return None
        found[role] = here
    return found


def _is_current(before: PublishedState, root: Metadata[Root] | None) -> bool:
    """Whether hosts that have the root accept the timestamp and the snapshot."""
    if root is None or before.timestamp is None or before.snapshot is None:
        return root is None
    return _verifies(root.signed, "timestamp", before.timestamp) and _verifies(
        root.signed, "snapshot", before.snapshot
    )


def _publish(
    tree: RepositoryTree,
    before: PublishedState,
    ready: Mapping[str, Metadata[Any]],
    root: Metadata[Root],
    online: Mapping[str, Sequence[Signer]],
) -> dict[str, int]:
    """Write new metadata, the timestamp last.  Return role -> version."""
    below = {role: metadata for role, metadata in ready.items() if role != "root"}
    snapshot = _next_snapshot(before, below)
    for signer in online["snapshot"]:
        sign(snapshot, signer)
    number = snapshot.signed.version
    timestamp = _next_timestamp(before, snapshot)
    for signer in online["timestamp"]:
        sign(timestamp, signer)
    if not _verifies(root.signed, "snapshot", snapshot):
        raise Refusal(REPOSITORY_DAMAGED, "snapshot", "its new signatures do not verify")
    for role, metadata in below.items():
        tree.publish(f"{metadata.signed.version}.{role}.json", metadata)
    tree.publish(f"{number}.snapshot.json", snapshot)
    if "root" in ready:
        tree.publish(f"{root.signed.version}.root.json", root)
    tree.publish("timestamp.json", timestamp)
    for role in ready:
        tree.drop(role)
    versions = {role: metadata.signed.version for role, metadata in ready.items()}
    return versions | {"snapshot": number, "timestamp": timestamp.signed.version}


def _next_snapshot(
    before: PublishedState, changed: Mapping[str, Metadata[Any]]
) -> Metadata[Snapshot]:
    """Return the next snapshot, unsigned: with the versions of what has changed."""
    old = before.snapshot.signed if before.snapshot else Snapshot(meta={})
    made: Metadata[Snapshot] = next_version("snapshot", old, before.version("snapshot") + 1)
    for role, metadata in changed.items():
        content = as_bytes(metadata)
        made.signed.meta[f"{role}.json"] = MetaFile.from_data(
            metadata.signed.version, content, ["sha256"]
        )
    return made


def _next_timestamp(before: PublishedState, snapshot: Metadata[Snapshot]) -> Metadata[Timestamp]:
    old = before.timestamp.signed if before.timestamp else Timestamp()
    made: Metadata[Timestamp] = next_version("timestamp", old, before.version("timestamp") + 1)
    made.signed.snapshot_meta = MetaFile.from_data(
        snapshot.signed.version, as_bytes(snapshot), ["sha256"]
    )
    return made
