# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that the user built: ``--kernel-dir DIR``, with the tree in which ``make`` ran (or its
``O=``).

It is an offer that no survey finds: the user names it.  Suture only reads the tree, and its files
stay where they are.  The unpacked image and its symbols are kept in the cache under the image's
checksum, so that a rebuilt tree is never mistaken for the previous one.
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
        """The release that kbuild recorded."""
        text = files.read_bytes(self.directory / RELEASE)
        return text.decode("utf-8", "replace").strip()

    @property
    def version(self) -> str:
        """None: nothing was packaged."""
        return ""

    @property
    def suite(self) -> str:
        """None."""
        return ""

    @property
    def size(self) -> int:
        """Bytes to download: none."""
        return 0

    def toolchain(self) -> Toolchain:
        """Return the compiler of the tree's configuration."""
        return Toolchain(config.read(self.directory / CONFIG).compiler)

    def get(self, into: Path) -> Parts:
        """Return the parts at their places; nothing is written to `into`.

        The bootable image is preferred over ``vmlinux``, because it has the symbols in the kernel's
        own order.  If it has not been built, `Parts.image` is its future path: everything but
        booting works.

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
        """Return the path of its bootable image, or the path where it would be."""
        images = {
            known.machine: known.image.path for known in arch.known() if known.image is not None
        }
        there = (path for path in images.values() if (self.directory / path).is_file())
        return Path(next(there, None) or self._would_be(images))

    def _would_be(self, images: Mapping[arch.ElfMachine, str]) -> str:
        """Return the image's path for the architecture of ``vmlinux``, or else of this host."""
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
    """Return the target of a built kernel tree.

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
