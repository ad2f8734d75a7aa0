# SPDX-License-Identifier: GPL-2.0-or-later
"""From a kernel's parts to a target: what Suture works out for itself, the same for every source.

The image is unpacked, its symbols are listed, and the parts are shown to belong together.
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
    """Make a target of the parts.

    :param directory: where what is worked out is written to.
    :param mismatch: how an image of another release than the parts' is refused.
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
    """The target whose parts `derive` has completed in a directory."""
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
    """The image says of itself that it is the release it was taken for.

    :raises Refusal: `mismatch`, ``image-malformed``, ``file-unreadable``
    """
    found = image.read(vmlinux).release
    if found != parts.release:
        raise Refusal(
            mismatch, str(parts.booted), f"it is of release {found}, and not of {parts.release}"
        )


def _vmlinux(parts: Parts, directory: Path) -> Path:
    """Where the kernel stands unpacked."""
    return parts.booted if parts.booted == parts.debug else directory / VMLINUX


def _unpack_image(parts: Parts, directory: Path) -> Path:
    vmlinux = _vmlinux(parts, directory)
    if vmlinux != parts.debug:
        packed = files.read_bytes(parts.booted)
        vmlinux.write_bytes(boot_image.decompress(packed, str(parts.booted)))
    return vmlinux


def _list_symbols(vmlinux: Path) -> bytes:
    """From its symbol table, where it has one (no compressed image holds it, powerpc boots a whole
    ``vmlinux``); else from the table that the kernel has for itself."""
    with image.map_file(vmlinux) as data:
        listed = symtab.listing(data, str(vmlinux))
    return kallsyms.extract(vmlinux) if listed is None else listed


def _unpacked_symvers(path: Path, directory: Path) -> Path:
    """The file itself where it is plain; kernel-core has a ``symvers.gz``, SUSE a
    ``symvers-R.gz``."""
    packed = files.read_bytes(path)
    try:
        plain = unpack.unpacked(packed)
    except unpack.ERRORS as error:
        raise Refusal(SYMVERS_MALFORMED, str(path), f"it cannot be unpacked ({error})") from error
    if plain == packed:
        return path
    (directory / SYMVERS).write_bytes(plain)
    return directory / SYMVERS
