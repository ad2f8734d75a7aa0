# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets on this host: ``kernels/RELEASE/VERSION/`` in the cache, made in one go and never changed
afterwards.

``target.json`` in it says where the parts are and how large they are; a directory without it, or
where a part has another size, counts as not fetched.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from debian.debian_support import Version

from suture.errors import IMAGE_MALFORMED, KERNEL_NOT_FETCHED, PACKAGE_CORRUPT, Refusal
from suture.host import files, run
from suture.host.paths import cache
from suture.host.progress import step
from suture.kernel import bzimage, config, image, kallsyms, symvers
from suture.kernel.release import Target
from suture.sources import apt
from suture.sources.apt import Package
from suture.sources.offers import Offer, survey

MANIFEST = "target.json"
FORMAT = 1
PARTS = ("vmlinuz", "vmlinux", "kallsyms", "config", "symvers", "modules", "source")


def fetch(release: str, version: str | None = None) -> Target:
    """Get a target from the archives, or return it where it has been fetched before.

    :param version: of its packages; by default what is here, else the newest that is offered.
    :raises Refusal: ``archive-unreachable``, ``kernel-not-offered``, ``package-corrupt``,
        ``package-untrusted``, ``image-malformed``, ``kallsyms-not-found``, ``disk-full``,
        ``tool-missing``
    """
    here = _kernels() / _one_name(release)
    with files.locked(_kernels() / f".{release}.lock"):
        present = _newest(here, version)
        if present is not None:
            return present
        offered = survey().offer(release, version)
        packages = cache() / "packages"
        apt.download(offered.packages, packages)
        _remove_leftovers(here)
        shutil.rmtree(
            here / offered.version, ignore_errors=True
        )  # one that has lost parts, or there is none
        with files.new_directory(here / offered.version) as work:
            _build(offered, packages, work)
        _remove_leftovers(here)  # again: the dpkg-deb of a killed run may have gone on for a while
        return find(release, offered.version)


def find(release: str, version: str | None = None) -> Target:
    """A target that has been fetched; of several versions the newest.

    :raises Refusal: ``kernel-not-fetched``
    """
    found = _newest(_kernels() / _one_name(release), version)
    if found is None:
        raise Refusal(
            KERNEL_NOT_FETCHED,
            release,
            "this kernel has not been fetched"
            if version is None
            else f"version {version} has not been fetched",
            remedy=f"Run 'suture kernel fetch {release}' first.",
        )
    return found


def fetched() -> tuple[Target, ...]:
    """All targets on this host, newest first."""
    found = [_load(path.parent) for path in _kernels().glob(f"*/*/{MANIFEST}")]
    return tuple(sorted((target for target in found if target is not None), key=_age, reverse=True))


def _kernels() -> Path:
    return cache() / "kernels"


def _one_name(release: str) -> str:
    """A release as the name of a directory; nothing that a path could be made of is a release.

    :raises Refusal: ``kernel-not-fetched``
    """
    if not release or release.startswith(".") or "/" in release or "\0" in release:
        raise Refusal(
            KERNEL_NOT_FETCHED,
            repr(release),
            "this is no kernel release",
            remedy="See 'suture kernel list'.",
        )
    return release


def _age(target: Target) -> tuple[Version, int]:
    return Version(target.version), -len(target.release)


def _newest(directory: Path, version: str | None) -> Target | None:
    found = [_load(path.parent) for path in directory.glob(f"*/{MANIFEST}")]
    fitting = [
        target for target in found if target is not None and version in (None, target.version)
    ]
    return max(fitting, key=_age, default=None)


def _build(offer: Offer, packages: Path, work: Path) -> None:
    """Fill `work` with a target.  Unpacked, the packages stand side by side: ``image``,
    ``headers``, ``source``."""
    unpacked = {}
    for name, package in (
        ("image", offer.image),
        ("headers", offer.headers),
        ("source", offer.source),
    ):
        with step("Unpacking", package.name):
            unpacked[name] = work / name
            _unpack(package, packages / package.file_name, unpacked[name])
    release = offer.release
    headers = f"usr/src/linux-headers-{release}"
    parts = {
        "vmlinuz": _part(offer.image, unpacked["image"], f"boot/vmlinuz-{release}"),
        # Merged-/usr releases of Debian (13 and later) ship the modules below /usr.
        "modules": _part(
            offer.image, unpacked["image"], f"lib/modules/{release}", f"usr/lib/modules/{release}"
        ),
        "config": _part(offer.headers, unpacked["headers"], f"{headers}/.config"),
        "symvers": _part(offer.headers, unpacked["headers"], f"{headers}/Module.symvers"),
        "source": _part(offer.source, unpacked["source"], f"usr/src/{offer.source.name}.tar.xz"),
        "vmlinux": work / "vmlinux",
        "kallsyms": work / "kallsyms",
    }
    with step("Reading the image", parts["vmlinuz"].name):
        kernel = bzimage.decompress(files.read_bytes(parts["vmlinuz"]), str(parts["vmlinuz"]))
        parts["vmlinux"].write_bytes(kernel)
        found = image.read(parts["vmlinux"]).release
        if found != release:
            raise Refusal(
                IMAGE_MALFORMED,
                offer.image.file_name,
                f"its image is of release {found}, not {release}",
            )
    with step("Listing its symbols", release):
        parts["kallsyms"].write_bytes(kallsyms.extract(parts["vmlinux"]))
    config.read(parts["config"])
    symvers.read(parts["symvers"])
    _write_manifest(offer, parts, work)


def _unpack(package: Package, deb: Path, directory: Path) -> None:
    try:
        run.check(["dpkg-deb", "-x", deb, directory], where=package.file_name, kind=PACKAGE_CORRUPT)
    except Refusal as error:
        if error.kind is PACKAGE_CORRUPT:
            deb.unlink(missing_ok=True)  # so that the next run gets it anew
        raise


def _part(package: Package, directory: Path, *candidates: str) -> Path:
    for candidate in candidates:
        if (directory / candidate).exists():
            return directory / candidate
    raise Refusal(PACKAGE_CORRUPT, package.file_name, f"it holds no {candidates[0]}")


def _write_manifest(offer: Offer, parts: Mapping[str, Path], work: Path) -> None:
    document = {
        "format": FORMAT,
        "release": offer.release,
        "version": offer.version,
        "parts": {
            name: {"path": str(path.relative_to(work)), "size": _size(path)}
            for name, path in sorted(parts.items())
        },
    }
    (work / MANIFEST).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _size(path: Path) -> int | None:
    """A file's size; None for a directory, where it says nothing."""
    return path.stat().st_size if path.is_file() else None


def _load(directory: Path) -> Target | None:
    """The target in a directory; None where it is not complete."""
    try:
        document = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            return None
        paths = {name: directory / document["parts"][name]["path"] for name in PARTS}
        if any(
            not paths[name].exists() or _size(paths[name]) != document["parts"][name]["size"]
            for name in PARTS
        ):
            return None
        return Target(release=document["release"], version=document["version"], **paths)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remove_leftovers(directory: Path) -> None:
    """What a killed run left; the caller holds the release's lock, so nobody else is at work
    here."""
    for leftover in directory.glob(f"{files.TEMPORARY}*"):
        shutil.rmtree(leftover, ignore_errors=True)
