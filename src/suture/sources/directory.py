# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that the user built: ``--kernel-dir DIR``, where DIR is the tree that ``make`` was run in
(or its ``O=``).

It is an offer that no survey finds: the user names it.  The tree itself is only read, and its files
stay where they are.  What has to be worked out from its image is kept in the cache under the image's
own checksum, so that a tree that is built again is never taken for what it was before.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from suture import arch
from suture.errors import TREE_INCOMPLETE, Refusal
from suture.host import files
from suture.host.paths import cache
from suture.kernel import config, image, symtab
from suture.kernel.release import Target, Toolchain
from suture.sources import derive
from suture.sources.source import Parts

RELEASE = Path("include/config/kernel.release")
CONFIG = Path(".config")
SYMVERS = Path("Module.symvers")
VMLINUX = Path("vmlinux")


@dataclass(frozen=True, slots=True)
class BuiltTree:
    """The `suture.sources.source.Offer` of a tree that was built."""

    directory: Path

    @property
    def release(self) -> str:
        text = files.read_bytes(self.directory / RELEASE)
        return text.decode("utf-8", "replace").strip()

    @property
    def version(self) -> str:
        """None: nothing was packaged."""
        return ""

    @property
    def size(self) -> int:
        return 0

    def toolchain(self) -> Toolchain:
        return Toolchain(config.read(self.directory / CONFIG).compiler)

    def get(self, into: Path) -> Parts:
        """The parts, where they are; nothing is written to `into`.

        The bootable image is preferred over ``vmlinux``, because it holds the symbols as the kernel
        itself counts them. Where it has not been built, `Parts.image` is where it would be:
        everything but booting works.

        :raises Refusal: ``tree-incomplete``, ``config-malformed``, ``file-unreadable``
        """
        self._check_complete()
        vmlinux = self.directory / VMLINUX
        return Parts(
            self.release,
            self.version,
            image=self.directory / self._image(),
            config=self.directory / CONFIG,
            symvers=self.directory / SYMVERS,
            modules=self.directory,
            source=self.directory,
            debug=vmlinux if vmlinux.is_file() else None,
            toolchain=self.toolchain(),
        )

    def _image(self) -> Path:
        """Where its bootable image is, or would be: that of the architecture which has one there,
        else of the one that ``vmlinux`` is for, else of this host's, else of the first."""
        images = {one.machine: one.image.path for one in arch.known() if one.image is not None}
        there = (path for path in images.values() if (self.directory / path).is_file())
        return Path(next(there, None) or self._would_be(images))

    def _would_be(self, images: Mapping[arch.ElfMachine, str]) -> str:
        head = b""
        with suppress(OSError), (self.directory / VMLINUX).open("rb") as vmlinux:
            head = vmlinux.read(arch.IDENTIFIED)
        found = arch.of_elf(head) or arch.named(platform.machine())
        first = next(iter(images.values()))
        return first if found is None else images.get(found.machine, first)

    def _check_complete(self) -> None:
        needed = (RELEASE, CONFIG, SYMVERS)
        missing = [str(part) for part in needed if not (self.directory / part).is_file()]
        booted = self._image()
        if not any((self.directory / part).is_file() for part in (booted, VMLINUX)):
            missing.append(f"{booted} or {VMLINUX}")
        if missing:
            raise Refusal(TREE_INCOMPLETE, str(self.directory), f"it lacks {', '.join(missing)}")


def from_directory(directory: Path) -> Target:
    """The target that a built kernel tree describes.

    :raises Refusal: ``tree-incomplete``, ``image-malformed``, ``kallsyms-not-found``,
        ``kallsyms-malformed``, ``config-malformed``, ``symvers-malformed``, ``file-unreadable``,
        ``disk-full``
    """
    trees = cache() / "trees"
    parts = BuiltTree(directory.absolute()).get(trees)
    with image.map_file(parts.booted) as data:
        kept = trees / hashlib.sha256(data).hexdigest()
        if parts.booted == parts.debug and not symtab.has_table(data, str(parts.debug)):
            found = f"it has no symbol table, and there is no {parts.image.name}"
            raise Refusal(TREE_INCOMPLETE, str(parts.debug), found)
    if not kept.is_dir():
        with files.new_directory(kept) as work:
            derive.derive(parts, work, mismatch=TREE_INCOMPLETE)
    target = derive.target(parts, kept)
    derive.check_release(parts, target.vmlinux, TREE_INCOMPLETE)
    return target
