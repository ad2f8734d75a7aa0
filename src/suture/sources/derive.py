# SPDX-License-Identifier: GPL-2.0-or-later
"""From a kernel's parts to a target, the same for every source.

Suture unpacks the image, lists its symbols, and checks that the parts belong together.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from suture.errors import IMAGE_MALFORMED, SYMVERS_MALFORMED, Kind, Refusal
from suture.host import files
from suture.host.progress import step
from suture.kernel import boot_image, config, image, kallsyms, symtab, symvers, unpack
from suture.kernel.release import Target
from suture.sources.source import Parts

VMLINUX = "vmlinux"
KALLSYMS = "kallsyms"
SYMVERS = "Module.symvers"


def derive(parts: Parts, directory: Path, *, mismatch: Kind = IMAGE_MALFORMED) -> Target:
    """Make a target from the parts.

    :param directory: takes the unpacked image and the list of symbols.
    :param mismatch: the refusal of an image of another release than the parts'.
    :raises Refusal: `mismatch`, ``image-malformed``, ``kallsyms-not-found``,
        ``kallsyms-malformed``, ``config-malformed``, ``symvers-malformed``, ``file-unreadable``
    """
    with step("Reading the image", parts.booted.name):
        vmlinux = _unpack_image(parts, directory)
        check_release(parts, vmlinux, mismatch)
    with step("Listing its symbols", parts.release):
        (directory / KALLSYMS).write_bytes(_list_symbols(vmlinux))
    plain = replace(parts, symvers=_unpacked_symvers(parts.symvers, directory))
    config.read(plain.config)
    symvers.read(plain.symvers)
    return target(plain, directory)


def target(parts: Parts, directory: Path) -> Target:
    """Return the target with the parts that `derive` has completed in a directory."""
    return Target(
        parts.release,
        parts.version,
        vmlinuz=parts.image,
        vmlinux=_vmlinux(parts, directory),
        kallsyms=directory / KALLSYMS,
        config=parts.config,
        symvers=parts.symvers,
        modules=parts.modules,
        source=parts.source,
        patches=parts.patches,
        debug=parts.debug,
        toolchain=parts.toolchain,
    )


def check_release(parts: Parts, vmlinux: Path, mismatch: Kind) -> None:
    """Refuse an image with a banner of another release.

    For example, a tree in which ``make`` rewrote ``kernel.release`` but not yet ``bzImage`` has the
    image of the build before.

    :raises Refusal: `mismatch`, ``image-malformed``, ``file-unreadable``
    """
    found = image.read(vmlinux).release
    if found != parts.release:
        raise Refusal(
            mismatch, str(parts.booted), f"it is of release {found}, and not of {parts.release}"
        )


def _vmlinux(parts: Parts, directory: Path) -> Path:
    """Return the path of the unpacked kernel."""
    return parts.booted if parts.booted == parts.debug else directory / VMLINUX


def _unpack_image(parts: Parts, directory: Path) -> Path:
    vmlinux = _vmlinux(parts, directory)
    if vmlinux != parts.debug:
        packed = files.read_bytes(parts.booted)
        vmlinux.write_bytes(boot_image.decompress(packed, str(parts.booted)))
    return vmlinux


def _list_symbols(vmlinux: Path) -> bytes:
    """List the symbols from the symbol table (compressed images have none; powerpc boots a whole
    ``vmlinux``), or else from the kernel's own kallsyms."""
    with image.map_file(vmlinux) as data:
        listed = symtab.listing(data, str(vmlinux))
    return kallsyms.extract(vmlinux) if listed is None else listed


def _unpacked_symvers(path: Path, directory: Path) -> Path:
    """Return the path of the unpacked file: the file itself if it is plain.  Fedora's kernel-core
    has a ``symvers.gz``, SUSE a ``symvers-R.gz``."""
    packed = files.read_bytes(path)
    try:
        plain = unpack.unpacked(packed)
    except unpack.ERRORS as error:
        raise Refusal(SYMVERS_MALFORMED, str(path), f"it cannot be unpacked ({error})") from error
    if plain == packed:
        return path
    (directory / SYMVERS).write_bytes(plain)
    return directory / SYMVERS
