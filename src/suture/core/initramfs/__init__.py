# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches that are in force before the root file system is mounted.

A hook puts what boots of a kernel would load into that kernel's initramfs, shown to be what was
installed; a script there loads it, in order.  Neither Python nor ``/var`` is there then, so a
failure cannot be written down: one that brings the host down early does so at each boot, until
``suture.disable=1`` on the kernel command line skips it. Therefore only what an earlier boot came
up with is taken along.

To add another program that makes images (dracut, mkinitcpio):

1. Write one module with a class that has what `ImageMaker` asks for.  ``initramfs_tools.py`` shows
   how; its hook runs ``python -m suture.core.initramfs RELEASE DIRECTORY``, which puts the modules
   below a directory, and its script loads them, one after the other's transition.
2. Put one of it into `MAKERS`.
"""

from __future__ import annotations

from typing import Protocol

from suture.core.initramfs.initramfs_tools import InitramfsTools


class ImageMaker(Protocol):
    """A program that makes initramfs images, as far as our hook goes."""

    @property
    def remake(self) -> str:
        """The command that makes the running kernel's image again."""

    def is_here(self) -> bool:
        """Whether this host has it."""

    def enable(self) -> None:
        """Let images that are made from now on have what is kept.

        :raises Refusal: ``initramfs-tools-missing``, ``path-untrusted``, ``store-unwritable``
        """

    def disable(self) -> None:
        """Let images that are made from now on have nothing of ours.

        :raises Refusal: ``path-untrusted``, ``store-unwritable``
        """


MAKERS: tuple[ImageMaker, ...] = (InitramfsTools(),)


def maker() -> ImageMaker:
    """The first that this host has; where it has none, one that refuses."""
    return next((known for known in MAKERS if known.is_here()), MAKERS[0])
