# SPDX-License-Identifier: GPL-2.0-or-later
"""A target that the user built: ``--kernel-dir DIR``, where DIR is the tree that ``make`` was run
in (or its ``O=``).

The tree itself is only read.  What has to be worked out from its image is kept in the cache under
the image's own checksum, so that a tree that is built again is never taken for what it was before.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from suture.errors import TREE_INCOMPLETE, Refusal
from suture.host import files
from suture.host.paths import cache
from suture.host.progress import step
from suture.kernel import bzimage, image, kallsyms, symtab
from suture.kernel.elf64 import Bytes
from suture.kernel.release import Target

RELEASE = Path("include/config/kernel.release")
CONFIG = Path(".config")
SYMVERS = Path("Module.symvers")
BZIMAGE = Path("arch/x86/boot/bzImage")
VMLINUX = Path("vmlinux")


def from_directory(directory: Path) -> Target:
    """The target that a built kernel tree describes.

    The bootable image is preferred over ``vmlinux``, because it holds the symbols as the kernel
    itself counts them. Where it has not been built, `Target.vmlinuz` is where it would be:
    everything but booting works.

    :raises Refusal: ``tree-incomplete``, ``image-malformed``, ``kallsyms-not-found``,
        ``kallsyms-malformed``, ``file-unreadable``, ``disk-full``
    """
    directory = directory.absolute()
    missing = [str(part) for part in (RELEASE, CONFIG, SYMVERS) if not (directory / part).is_file()]
    if not any((directory / part).is_file() for part in (BZIMAGE, VMLINUX)):
        missing.append(f"{BZIMAGE} or {VMLINUX}")
    if missing:
        raise Refusal(TREE_INCOMPLETE, str(directory), f"it lacks {', '.join(missing)}")
    release = files.read_bytes(directory / RELEASE).decode("utf-8", "replace").strip()
    vmlinux, listing = (
        _from_bzimage(directory) if (directory / BZIMAGE).is_file() else _from_vmlinux(directory)
    )
    found = image.read(vmlinux).release
    if found != release:
        raise Refusal(
            TREE_INCOMPLETE,
            str(directory),
            f"its image is of release {found!r}, the tree of {release!r}",
        )
    return Target(
        release=release,
        version="",
        vmlinuz=directory / BZIMAGE,
        vmlinux=vmlinux,
        kallsyms=listing,
        config=directory / CONFIG,
        symvers=directory / SYMVERS,
        modules=directory,
        source=directory,
    )


def _from_bzimage(directory: Path) -> tuple[Path, Path]:
    """``vmlinux`` without symbols and the listing, out of the bootable image."""
    packed = files.read_bytes(directory / BZIMAGE)
    kept = _kept(packed)
    if not kept.is_dir():
        with step("Reading the image", str(BZIMAGE)), files.new_directory(kept) as work:
            (work / "vmlinux").write_bytes(bzimage.decompress(packed, str(directory / BZIMAGE)))
            (work / "kallsyms").write_bytes(kallsyms.extract(work / "vmlinux"))
    return kept / "vmlinux", kept / "kallsyms"


def _from_vmlinux(directory: Path) -> tuple[Path, Path]:
    """``vmlinux`` itself, and the listing made from its symbol table."""
    vmlinux = directory / VMLINUX
    with image.map_file(vmlinux) as data:
        kept = _kept(data)
        if not kept.is_dir():
            listing = symtab.listing(data, str(vmlinux))
            if listing is None:
                raise Refusal(
                    TREE_INCOMPLETE, str(vmlinux), "it has no symbol table, and there is no bzImage"
                )
            with files.new_directory(kept) as work:
                (work / "kallsyms").write_bytes(listing)
    return vmlinux, kept / "kallsyms"


def _kept(data: Bytes) -> Path:
    return cache() / "trees" / hashlib.sha256(data).hexdigest()
