# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixes between a kernel and a newer version of its source, kept for each pair of versions.

In ``fixes/RELEASE/OLD..NEW/`` of the cache are ``fixes.json`` and ``changes.diff.zst``, the changes
of all files of code; neither source is kept unpacked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path

import zstandard

from suture import sources
from suture.core.changelog import ChangelogItem, items, version_of
from suture.errors import CHANGELOG_UNKNOWN, VERSION_NOT_NEWER, VERSION_NOT_OFFERED, Refusal
from suture.fixes import trees
from suture.fixes.changes import CODE, CodeChange, changes
from suture.fixes.kept_changes import FileDiff, split
from suture.fixes.matching import Certainty, Matcher
from suture.fixes.objnames import ObjnameLookup
from suture.host.files import (
    locked,
    new_directory,
    read_bytes,
    remove_unfinished,
    scratch_directory,
)
from suture.host.paths import cache
from suture.host.progress import step
from suture.kernel.release import Target
from suture.sources import NewerSource, SourceOffer, versions
from suture.workspace.prepare import Workspace, prepare

RECIPE = 8
"""Raised whenever what is kept is made in another way."""

_LIST, _DIFF = "fixes.json", "changes.diff.zst"

_ELSEWHERE = ("Documentation/", "LICENSES/", "samples/", "scripts/", "tools/", ".")
"""What no kernel is built from, or only by way of programs of the build."""


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file of code that differs between the two versions.

    :ivar path: in the tree.
    :ivar added: lines; `removed`: likewise.
    :ivar functions: those that changed lines are in, sorted.
    :ivar objects: the objnames that it is built into; empty where this kernel is not built from it.
    """

    path: str
    added: int
    removed: int
    functions: tuple[str, ...]
    objects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedFix:
    """An entry of the changelog, and the changed files that it may mean.

    :ivar version: of the package that brought it.
    :ivar architectures: those that the entry says it is for; empty for all.
    :ivar files: paths; none where that is unsure.
    :ivar because: the names, or the words of the place, that decided.
    """

    title: str
    version: str
    cves: tuple[str, ...]
    architectures: tuple[str, ...]
    certainty: Certainty
    files: tuple[str, ...]
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FixList:
    """The fixes between two versions.

    :ivar release: of the kernel.
    :ivar old: the version of its packages; `new`: the one that it is compared with.
    :ivar fixes: newest first, as in the changelog.
    :ivar files: the files of code that differ, sorted by path.
    :ivar others: other files that differ, such as makefiles, sorted.
    """

    release: str
    old: str
    new: str
    fixes: tuple[ListedFix, ...] = ()
    files: tuple[ChangedFile, ...] = ()
    others: tuple[str, ...] = ()
    _objects: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)

    def objects_of(self, fix: ListedFix) -> tuple[str, ...]:
        """Return the objnames that a fix may be in; empty where none of its files is built here.

        Those of its headers count only where it has no source file: include lines may mean more
        than one file.  ``#include "trace.h"`` of KVM, which has one in another directory, may be
        fs/smb/client/trace.h.
        """
        if not self._objects:
            self._objects.update({one.path: one.objects for one in self.files})
        of_sources = self._of(path for path in fix.files if not path.endswith(".h"))
        return of_sources or self._of(fix.files)

    def _of(self, paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys(chain.from_iterable(self._objects.get(path, ()) for path in paths))
        )


def newer_versions(target: Target) -> tuple[SourceOffer, ...]:
    """Return the versions of a kernel's source that are newer than the kernel, newest first.

    :raises Refusal: as `suture.sources.survey`
    """
    with step("Looking for newer sources", target.release):
        return sources.source_offers(target.release, target.version)


def list_fixes(target: Target, version: str | None = None) -> FixList:
    """Return the fixes between a kernel and a newer version of its source.

    :param version: by default the newest that is offered; if none is newer, the list is empty.
    :raises Refusal: ``version-not-newer``, ``version-not-offered``, ``changelog-unknown``,
        ``archive-unreachable``, ``package-corrupt``, ``source-damaged``, ``disk-full``, and as
        `suture.workspace.prepare.prepare`
    """
    if version is not None:
        _refuse_older(target, version)
        if (kept := _kept(place_of(target, version))) is not None:
            return kept
    offered = newer_versions(target)
    if version is None and not offered:
        return FixList(target.release, target.version, target.version)
    chosen = next((one for one in offered if version in (None, one.version)), None)
    if chosen is None:
        raise Refusal(
            VERSION_NOT_OFFERED,
            str(version),
            f"no archive has it for {target.release}",
            evidence=[f"offered: {one.version}" for one in offered],
        )
    return _of_offer(target, chosen)


def diffs_of(target: Target, found: FixList) -> dict[str, FileDiff]:
    """Return the changes of the files of a list, by their paths.

    :param found: as `list_fixes` returned it.
    :raises Refusal: ``file-unreadable``
    """
    packed = read_bytes(place_of(target, found.new) / _DIFF)
    text = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    return {one.path: one for one in split(text.decode(errors="surrogateescape"))}


def _refuse_older(target: Target, version: str) -> None:
    if versions.key(version) <= versions.key(target.version):
        raise Refusal(
            VERSION_NOT_NEWER, version, f"is not newer than {target.release}, {target.version}"
        )


def _of_offer(target: Target, offer: SourceOffer) -> FixList:
    place = place_of(target, offer.version)
    with locked(place.with_name(f".{place.name}.lock")):
        if (kept := _kept(place)) is not None:
            return kept
        remove_unfinished(place.parent)
        workspace = prepare(target)
        with scratch_directory(place.parent, "source-") as scratch:
            found, text = _compared(workspace, offer, offer.get(scratch))
        with new_directory(place) as work:
            (work / _DIFF).write_bytes(zstandard.compress(text.encode(errors="surrogateescape")))
            (work / _LIST).write_text(json.dumps({"recipe": RECIPE, **_document(found)}))
        return found


def _compared(workspace: Workspace, offer: SourceOffer, newer: NewerSource) -> tuple[FixList, str]:
    """Return the list, and the changes of all files of code."""
    target = workspace.target
    new_items = _new_items(newer.changelog, target, offer)
    architecture = f"arch/{workspace.environment['SRCARCH']}/"

    def wanted(path: str) -> bool:
        if path.startswith("arch/"):
            return path.startswith(architecture)
        return not path.startswith(_ELSEWHERE)

    with step("Comparing the sources", f"{target.version} and {offer.version}"):
        differing = list(trees.differing(target.source, newer.archive, wanted))
    with step("Reading the changes", f"{len(differing)} files"):
        code = [one for one in differing if one.path.endswith(CODE)]
        changed = sorted(changes(code), key=lambda one: one.path)
    with step("Looking up what the kernel is built from", target.release):
        objnames = ObjnameLookup(workspace)
        files = tuple(_file(one, objnames) for one in changed)
    with step("Matching the changelog", f"{len(new_items)} entries"):
        matcher = Matcher(changed)
        fixes = tuple(_fix(item, matcher) for item in new_items)
    others = sorted(one.path for one in differing if not one.path.endswith(CODE))
    found = FixList(target.release, target.version, offer.version, fixes, files, tuple(others))
    return found, "".join(_with_head(one) for one in changed)


def _new_items(text: str, target: Target, offer: SourceOffer) -> list[ChangelogItem]:
    """Return the entries after the kernel's version.  :raises Refusal: ``changelog-unknown``"""
    if version_of(text) != offer.version:
        found = f"the changelog begins with {version_of(text) or 'no version'!r}"
        raise Refusal(CHANGELOG_UNKNOWN, offer.name, found)
    if f"({target.version})" not in text:
        raise Refusal(CHANGELOG_UNKNOWN, offer.name, f"the changelog has no {target.version}")
    return list(items(text, after=target.version))


def _file(change: CodeChange, objnames: ObjnameLookup) -> ChangedFile:
    return ChangedFile(
        change.path,
        change.added,
        change.removed,
        tuple(sorted(change.functions)),
        tuple(sorted(objnames.of(change.path))),
    )


def _fix(item: ChangelogItem, matcher: Matcher) -> ListedFix:
    match = matcher.match(item.title)
    return ListedFix(
        item.title,
        item.version,
        tuple(sorted(item.cves)),
        tuple(sorted(item.architectures)),
        match.certainty,
        match.files,
        match.because,
    )


def _with_head(change: CodeChange) -> str:
    return f"diff -ruN a/{change.path} b/{change.path}\n{change.text}"


def place_of(target: Target, version: str) -> Path:
    """Return the directory of a list."""
    return cache() / "fixes" / target.release / f"{target.version}..{version}"


def _document(found: FixList) -> dict[str, object]:
    document = asdict(found)
    del document["_objects"]
    return document


def _kept(place: Path) -> FixList | None:
    """Return what is kept; None where nothing is, or of an earlier form."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads((place / _LIST).read_bytes())
        if document.pop("recipe") == RECIPE:
            fixes = tuple(_fix_of(one) for one in document.pop("fixes"))
            files = tuple(_file_of(one) for one in document.pop("files"))
            others = tuple(document.pop("others"))
            return FixList(**document, fixes=fixes, files=files, others=others)
    return None


def _fix_of(fields: dict[str, object]) -> ListedFix:
    certainty = Certainty(str(fields.pop("certainty")))
    return ListedFix(**_tuples(fields), certainty=certainty)  # type: ignore[arg-type]


def _file_of(fields: dict[str, object]) -> ChangedFile:
    return ChangedFile(**_tuples(fields))  # type: ignore[arg-type]


def _tuples(fields: dict[str, object]) -> dict[str, object]:
    """Return fields with tuples for lists, which JSON does not tell apart."""
    return {
        name: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in fields.items()
    }
