# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets on this host: ``kernels/RELEASE/VERSION/`` in the cache, made in one step and never
changed afterwards.

Its ``target.json`` records the places and sizes of the parts; a directory without it, or with a
part of another size, counts as not fetched.  It also records the digests of the packages that the
parts come from, which are not kept themselves.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from suture.errors import KERNEL_NOT_FETCHED, Refusal
from suture.host import files
from suture.host.kernel_names import MANIFEST
from suture.host.paths import cache, caches
from suture.kernel.release import Target, Toolchain
from suture.sources import derive, downloads, versions
from suture.sources.registry import find_offer

FORMAT, PATCHED_FORMAT = 1, 2
"""The second is for a target with patches to apply: a reader that knows only the first would
compile the wrong source."""

NEAR = 0.9
"""How alike two releases are (`difflib.get_close_matches`): 6.1.0-51-amd64 and 6.1.0-50-amd64 are,
6.12.9-amd64 and 6.1.0-50-amd64 are not (0.77)."""

PARTS = ("vmlinuz", "vmlinux", "kallsyms", "config", "symvers", "modules", "source")


def fetch(release: str, version: str | None = None, suites: Sequence[str] = ()) -> Target:
    """Get a target from the source that offers it, or return it if it has been fetched before.

    :param version: the packages' version; by default the newest here, else the newest offer.
    :param suites: suites to look in besides this host's; by default those that the release's name
        names, if this host's do not have it.
    :raises Refusal: ``archive-unreachable``, ``kernel-not-offered``, ``package-corrupt``,
        ``package-untrusted``, ``image-malformed``, ``kallsyms-not-found``, ``disk-full``,
        ``tool-missing``, ``suite-not-found``
    """
    here = _kernels() / _one_name(release)
    with files.locked(_kernels() / f".{release}.lock"):
        present = _newest(release, version)
        if present is not None:
            return present
        offer = find_offer(release, version, suites)
        files.remove_unfinished(here)
        final = here / offer.version
        shutil.rmtree(final, ignore_errors=True)  # it has lost parts, or does not exist
        with files.new_directory(final) as work:
            parts = offer.get(work)
            target = derive.derive(parts, work)
            _write_manifest(target, parts.packages, work)
        downloads.drop(parts.downloads)
        files.remove_unfinished(here)  # again: a program that a killed run started may have gone on
        return find(release, offer.version)


def find(release: str, version: str | None = None) -> Target:
    """Return a fetched target; of several versions the newest.

    :raises Refusal: ``kernel-not-fetched``
    """
    found = _newest(_one_name(release), version)
    if found is None:
        raise Refusal(
            KERNEL_NOT_FETCHED,
            release,
            "this kernel has not been fetched"
            if version is None
            else f"version {version} has not been fetched",
            remedy=_way(release),
            kernel=release,
        )
    return found


def _way(release: str) -> str:
    """Return what to do about a kernel that is not here: a slip in its name is more probable where
    one of nearly that name is."""
    names = list(dict.fromkeys(target.release for target in fetched()))
    begun = [name for name in names if release and name.startswith(release)]
    near = begun or get_close_matches(release, names, 1, NEAR)
    meant = f"Did you mean {near[0]}? Otherwise run" if near else "Run"
    return f"{meant} 'suture kernel fetch {release}' first; 'suture kernel list' shows the kernels."


def fetched() -> tuple[Target, ...]:
    """Return all targets on this host, newest first; those of a shared cache that this user may
    only read are among them, unless the user has the same one."""
    paths = [path for one in caches() for path in (one / "kernels").glob(f"*/*/{MANIFEST}")]
    first = {path.parent.relative_to(path.parents[2]): path for path in reversed(paths)}
    found = [_load(path.parent) for path in first.values()]
    return tuple(sorted((target for target in found if target is not None), key=_age, reverse=True))


def _kernels() -> Path:
    return cache() / "kernels"


def _one_name(release: str) -> str:
    """Return a release as the name of a directory; refuse what would be a path.

    :raises Refusal: ``kernel-not-fetched``
    """
    if not release or release.startswith(".") or "/" in release or "\0" in release:
        raise Refusal(
            KERNEL_NOT_FETCHED,
            repr(release),
            "is not a kernel release",
            remedy="See 'suture kernel list'.",
        )
    return release


def _age(target: Target) -> tuple[versions.VersionKey, int]:
    return versions.key(target.version), -len(target.release)


def _newest(release: str, version: str | None) -> Target | None:
    paths = [path for one in caches() for path in (one / "kernels" / release).glob(f"*/{MANIFEST}")]
    found = [_load(path.parent) for path in paths]
    fitting = [
        target for target in found if target is not None and version in (None, target.version)
    ]
    return max(fitting, key=_age, default=None)


def _write_manifest(target: Target, packages: Mapping[str, str], work: Path) -> None:
    document: dict[str, object] = {
        "format": PATCHED_FORMAT if target.patches else FORMAT,
        "release": target.release,
        "version": target.version,
        "parts": {name: _described(getattr(target, name), work) for name in sorted(PARTS)},
        "toolchain": {
            "compiler": target.toolchain.compiler,
            "packages": list(target.toolchain.packages),
        },
    }
    if packages:
        document["packages"] = dict(packages)
    if target.patches:
        document["patches"] = [_described(patch, work) for patch in target.patches]
    if target.debug is not None:
        document["debug"] = _described(target.debug, work)
    (work / MANIFEST).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _described(path: Path, work: Path) -> dict[str, object]:
    return {"path": str(path.relative_to(work)), "size": _size(path)}


def _size(path: Path) -> int | None:
    """Return a file's size; None for a directory."""
    return path.stat().st_size if path.is_file() else None


def _load(directory: Path) -> Target | None:
    """Return the target in a directory, or None if it is not complete."""
    try:
        document = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        if document["format"] not in (FORMAT, PATCHED_FORMAT):
            return None
        parts = {name: _present(document["parts"][name], directory) for name in PARTS}
        toolchain = document.get("toolchain", {})
        return Target(
            release=document["release"],
            version=document["version"],
            **parts,
            patches=tuple(_present(patch, directory) for patch in document.get("patches", ())),
            debug=_present(document["debug"], directory) if "debug" in document else None,
            toolchain=Toolchain(
                toolchain.get("compiler", ""), tuple(toolchain.get("packages", ()))
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _present(described: Mapping[str, object], directory: Path) -> Path:
    """Return the path of a part.

    :raises ValueError: it is missing, or has another size
    """
    path = directory / str(described["path"])
    if not path.exists() or _size(path) != described["size"]:
        raise ValueError(f"{path} has changed")
    return path
