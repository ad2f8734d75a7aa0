# SPDX-License-Identifier: GPL-2.0-or-later
"""What the next version of metadata changes, in words: what the holder of a key looks at before
signing it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tuf.api.metadata import Metadata, Role, Root, Targets

from suture.errors import Refusal
from suture.repo.documents import RingChoice
from suture.repo.keys import holder_of
from suture.repo.tree import PublishedState, RepositoryTree


def changes(
    tree: RepositoryTree, before: PublishedState, role: str, metadata: Metadata[Any]
) -> tuple[str, ...]:
    """Return a line for each thing that staged metadata changes."""
    old = before.root if role == "root" else before.roles.get(role)
    signed = metadata.signed
    first = f"{role}: version {signed.version}, expires {signed.expires:%Y-%m-%d}"
    body = (
        _of_root(old.signed if old else None, signed)
        if isinstance(signed, Root)
        else _of_targets(tree, old.signed if old else None, signed)
    )
    lines = tuple(f"  {line}" for line in body)
    return (first, *(lines or ("  nothing but its version and its time",)))


def _of_root(old: Any, new: Root) -> Iterator[str]:
    before = old.roles if old is not None else {}
    for name, role in new.roles.items():
        yield from _of_role(name, before.get(name), role, old, new)


def _of_targets(tree: RepositoryTree, old: Any, new: Targets) -> Iterator[str]:
    before = _delegated(old)
    for name, role in _delegated(new).items():
        yield from _of_role(name, before.get(name), role, old, new)
    yield from (f"- role {name}" for name in before if name not in _delegated(new))
    there = old.targets if old is not None else {}
    for path, target in new.targets.items():
        earlier = there.get(path)
        digest = target.hashes.get("sha256", "")
        if earlier is None or earlier.hashes != target.hashes:
            sign = "+" if earlier is None else "~"
            yield f"{sign} {path} (SHA-256 {digest[:16]}..., {target.length} bytes)"
            yield from _choice(tree, path, digest)
    yield from (f"- {path}" for path in there if path not in new.targets)


def _choice(tree: RepositoryTree, path: str, digest: str) -> Iterator[str]:
    """Yield what a ring chooses."""
    if not path.startswith("rings/"):
        return
    try:
        choice = RingChoice.parse(tree.read(path, digest), path)
    except Refusal:
        return
    fields = json.loads(choice.content())
    yield from (f"    {name}: {json.dumps(value)}" for name, value in fields.items())


def _delegated(signed: Any) -> Mapping[str, Role]:
    if signed is None or signed.delegations is None:
        return {}
    return dict(signed.delegations.roles or {})


def _of_role(name: str, before: Role | None, role: Role, old: Any, new: Any) -> Iterator[str]:
    """Yield how the keys and the threshold of a role change."""
    there = set(before.keyids) if before else set()
    for keyid in role.keyids:
        if keyid not in there:
            yield f"+ key of {name}: {holder_of(new.get_key(keyid))} ({keyid[:16]}...)"
    for keyid in sorted(there - set(role.keyids)):
        yield f"- key of {name}: {holder_of(old.get_key(keyid))} ({keyid[:16]}...)"
    if before is None or before.threshold != role.threshold:
        was = f", was {before.threshold}" if before else ""
        yield f"~ threshold of {name}: {role.threshold}{was}"
