# SPDX-License-Identifier: GPL-2.0-or-later
"""Publishes live patches, withdraws them, and lets rings choose among them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, TargetFile, Targets

from suture.elf import reader
from suture.errors import (
    NOT_A_LIVE_PATCH,
    PATCH_ALREADY_PUBLISHED,
    PATCH_NOT_PUBLISHED,
    PATCH_WITHDRAWN,
    Refusal,
)
from suture.module import notes
from suture.module.inspect import inspect, refuse_unapplied
from suture.repo import documents
from suture.repo.documents import (
    NAME,
    PATCHES_ROLE,
    RELEASE,
    RING_ROLE,
    WHOLE,
    ChosenPatch,
    PublishedPatch,
    RingChoice,
    Withdrawal,
    Withdrawals,
)
from suture.repo.roles import draft
from suture.repo.settling import Settlement, settle
from suture.repo.tree import PublishedState, RepositoryTree

RESERVED = "withdrawn"
"""No live patch can have this name: the list of the withdrawn ones has it."""

Edits = Mapping[str, Metadata[Any]]


@dataclass(frozen=True, slots=True)
class Accompaniment:
    """What is published with a live patch.

    :ivar reports: the ending of each report's file, such as ``.html`` -> content.
    :ivar proof: see `PublishedPatch.proof`.
    :ivar reboot_by: see `PublishedPatch.reboot_by`.
    """

    reports: Mapping[str, bytes] = field(default_factory=dict)
    proof: Mapping[str, object] = field(default_factory=dict)
    reboot_by: str = ""


@dataclass(frozen=True, slots=True)
class RingOrder:
    """What a ring is to choose.

    :ivar name: a live patch; None for none.
    :ivar share: of `WHOLE`.
    :ivar salt: another one chooses other hosts first; None for one made from the live patch.
    :ivar not_before: when hosts may load it; None for at once.
    :ivar replace: functions of earlier live patches may lose their fix.
    """

    name: str | None
    share: int = WHOLE
    salt: str | None = None
    not_before: datetime | None = None
    replace: bool = False


def publish(
    tree: RepositoryTree,
    module: bytes,
    where: str,
    beside: Accompaniment,
    signers: Sequence[Signer],
) -> tuple[PublishedPatch, Settlement]:
    """Vouch for a live patch of the kernel that its module names.

    :raises Refusal: ``not-a-live-patch``, ``object-malformed``, ``role-unknown``,
        ``patch-already-published``, ``signatures-missing``, and as `settle`
    """
    patch = describe(module, where, beside)
    role = f"{PATCHES_ROLE}{patch.release}"
    with tree.changing():
        before = tree.published()
        staged = tree.staged(before)
        made = _patches_draft(before, staged, patch.release)
        _refuse_taken(tree, made.signed, patch)
        _add(tree, made.signed, documents.patch_path(patch.release, patch.name), module)
        for ending, content in beside.reports.items():
            path = documents.patch_path(patch.release, patch.name, ending)
            _add(tree, made.signed, path, content)
        about = documents.patch_path(patch.release, patch.name, ".json")
        _add(tree, made.signed, about, patch.content())
        return patch, settle(tree, signers, {role: made})


def describe(module: bytes, where: str, beside: Accompaniment) -> PublishedPatch:
    """Read from a module what hosts are told of it.

    :raises Refusal: ``not-a-live-patch``, ``object-malformed``, ``object-unsupported``,
        ``relocations-unapplied``
    """
    obj = reader.read(module, where)
    inspection = inspect(obj)
    refuse_unapplied(inspection, where)
    patch = inspection.patch
    if not RELEASE.fullmatch(inspection.release) or not NAME.fullmatch(patch.name):
        found = f"names no kernel and module: {inspection.release!r}, {patch.name!r}"
        raise Refusal(NOT_A_LIVE_PATCH, where, found)
    return PublishedPatch(
        inspection.release,
        patch.name,
        hashlib.sha256(module).hexdigest(),
        len(module),
        notes.build_id_of(obj),
        patch.replace,
        tuple(f"{objname}:{function.old_name}" for objname, function in patch.each_function()),
        patch.fixes,
        tuple(str(finding) for finding in patch.findings if finding.because),
        patch.stays,
        {ending: hashlib.sha256(made).hexdigest() for ending, made in beside.reports.items()},
        beside.proof,
        beside.reboot_by,
        documents.stamp(documents.now()),
    )


def withdraw(
    tree: RepositoryTree, release: str, name: str, reason: str, signers: Sequence[Signer]
) -> tuple[Withdrawal, Settlement]:
    """Take a live patch back: no host loads it any more, and those that have it take it out.

    :raises Refusal: ``role-unknown``, ``patch-not-published``, ``patch-withdrawn``,
        ``signatures-missing``, and as `settle`
    """
    with tree.changing():
        before = tree.published()
        staged = tree.staged(before)
        made = _patches_draft(before, staged, release)
        patch = vouched_for(tree, made.signed, release, name)
        done = Withdrawal(name, patch.sha256, reason, documents.stamp(documents.now()))
        for path in [path for path in made.signed.targets if _is_of(path, release, name)]:
            del made.signed.targets[path]
        earlier = withdrawals(tree, made.signed, release)
        listed = replace(earlier, entries=(*earlier.entries, done))
        _add(tree, made.signed, documents.withdrawn_path(release), listed.content())
        return done, settle(tree, signers, {f"{PATCHES_ROLE}{release}": made})


def promote(
    tree: RepositoryTree, ring: str, release: str, order: RingOrder, signers: Sequence[Signer]
) -> tuple[RingChoice, Settlement]:
    """Let a ring choose a live patch, or none.

    :raises Refusal: ``role-unknown``, ``patch-not-published``, ``patch-withdrawn``,
        ``signatures-missing``, and as `settle`
    """
    with tree.changing():
        before = tree.published()
        staged = tree.staged(before)
        made = draft(before, staged, f"{RING_ROLE}{ring}")
        earlier = choice_of(tree, made.signed, ring, release)
        choice = _choice(tree, before, ring, release, order, earlier)
        return _stage_choice(tree, made, choice, signers)


def halt(
    tree: RepositoryTree, ring: str, release: str, halted: bool, signers: Sequence[Signer]
) -> tuple[RingChoice, Settlement]:
    """Have no more hosts load what a ring has chosen, or let them again.  Those that have it keep
    it.

    :raises Refusal: as `promote`; ``patch-not-published`` if the ring has chosen nothing
    """
    with tree.changing():
        before = tree.published()
        made = draft(before, tree.staged(before), f"{RING_ROLE}{ring}")
        earlier = choice_of(tree, made.signed, ring, release)
        if earlier is None:
            raise Refusal(PATCH_NOT_PUBLISHED, ring, f"the ring has chosen nothing for {release}")
        return _stage_choice(tree, made, replace(earlier, halted=halted), signers)


def vouched_for(tree: RepositoryTree, signed: Targets, release: str, name: str) -> PublishedPatch:
    """Return a live patch that a release role vouches for.

    :raises Refusal: ``patch-withdrawn``, ``patch-not-published``, ``repository-damaged``
    """
    path = documents.patch_path(release, name, ".json")
    target = signed.targets.get(path)
    if target is not None and documents.patch_path(release, name) in signed.targets:
        return PublishedPatch.parse(tree.read(path, target.hashes["sha256"]), path)
    gone = next(
        (one for one in withdrawals(tree, signed, release).entries if one.name == name), None
    )
    if gone is not None:
        raise Refusal(PATCH_WITHDRAWN, name, f"was withdrawn for {release}: {gone.reason}")
    raise Refusal(PATCH_NOT_PUBLISHED, name, f"is not published for {release}")


def withdrawals(tree: RepositoryTree, signed: Targets, release: str) -> Withdrawals:
    """Return what was withdrawn for a kernel.  :raises Refusal: ``repository-damaged``"""
    path = documents.withdrawn_path(release)
    target = signed.targets.get(path)
    if target is None:
        return Withdrawals(release)
    return Withdrawals.parse(tree.read(path, target.hashes["sha256"]), path)


def choice_of(tree: RepositoryTree, signed: Targets, ring: str, release: str) -> RingChoice | None:
    """Return what a ring has chosen for a kernel; None before it ever has.  :raises Refusal:
    ``repository-damaged``"""
    path = documents.choice_path(ring, release)
    target = signed.targets.get(path)
    if target is None:
        return None
    return RingChoice.parse(tree.read(path, target.hashes["sha256"]), path)


def _choice(
    tree: RepositoryTree,
    before: PublishedState,
    ring: str,
    release: str,
    order: RingOrder,
    earlier: RingChoice | None,
) -> RingChoice:
    """Return what the ring says from now on.

    Widening the share of the same live patch keeps the salt and the time, so that the hosts that
    have it stay among those that are to have it.  A choice that never came to all hosts, or was
    halted, is not what the others go back to.
    """
    patch = None
    if order.name is not None:
        role = published_patches(before, release)
        found = vouched_for(tree, role, release, order.name)
        patch = ChosenPatch(found.name, found.sha256)
    if earlier is not None and earlier.patch == patch:
        previous, salt, since = earlier.previous, earlier.salt, earlier.since
    else:
        previous = _settled(earlier)
        salt = patch.sha256[:16] if patch is not None else ""
        since = documents.stamp(documents.now())
    return RingChoice(
        ring,
        release,
        patch,
        previous if patch else None,
        order.share,
        order.salt or salt,
        since,
        documents.stamp(order.not_before) if order.not_before else "",
        False,
        order.replace,
    )


def _settled(earlier: RingChoice | None) -> ChosenPatch | None:
    """Return what all hosts of the ring were last meant to have."""
    if earlier is None:
        return None
    is_for_all = earlier.share == WHOLE and not earlier.halted
    return earlier.patch if is_for_all else earlier.previous


def published_patches(before: PublishedState, release: str) -> Targets:
    """Return the metadata of a release role.  :raises Refusal: ``patch-not-published``"""
    role = before.roles.get(f"{PATCHES_ROLE}{release}")
    if role is None:
        raise Refusal(PATCH_NOT_PUBLISHED, release, "nothing is published for this kernel")
    return role.signed


def _stage_choice(
    tree: RepositoryTree, made: Metadata[Any], choice: RingChoice, signers: Sequence[Signer]
) -> tuple[RingChoice, Settlement]:
    path = documents.choice_path(choice.ring, choice.release)
    _add(tree, made.signed, path, choice.content())
    return choice, settle(tree, signers, {f"{RING_ROLE}{choice.ring}": made})


def _patches_draft(before: PublishedState, staged: Edits, release: str) -> Metadata[Any]:
    return draft(before, staged, f"{PATCHES_ROLE}{release}")


def _refuse_taken(tree: RepositoryTree, signed: Targets, patch: PublishedPatch) -> None:
    gone = {one.name for one in withdrawals(tree, signed, patch.release).entries}
    if patch.name == RESERVED:
        raise Refusal(
            PATCH_ALREADY_PUBLISHED, patch.name, "the list of withdrawn ones has the name"
        )
    if documents.patch_path(patch.release, patch.name) in signed.targets or patch.name in gone:
        was = "was published and withdrawn" if patch.name in gone else "is published"
        raise Refusal(PATCH_ALREADY_PUBLISHED, patch.name, f"{was} for {patch.release}")


def _is_of(path: str, release: str, name: str) -> bool:
    """Whether a target is a file of the live patch: ``NAME.ko``, ``NAME.json``, ``NAME.html``."""
    directory, _, file = path.rpartition("/")
    return directory == f"patches/{release}" and file.partition(".")[0] == name


def _add(tree: RepositoryTree, signed: Targets, path: str, content: bytes) -> None:
    tree.add(path, content)
    signed.targets[path] = TargetFile.from_data(path, content, ["sha256"])


def report_ending(path: Path) -> str:
    """Return the ending under which a report is published: ``.report.html``."""
    return f".report{path.suffix}"
