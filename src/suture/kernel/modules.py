# SPDX-License-Identifier: GPL-2.0-or-later
"""The target's modules: their files, their contents, their dependencies, and the built-in ones.

A module's name is the one that the kernel and livepatch use (``/sys/module``): the file's name
without suffixes and with ``_`` for ``-`` (``scripts/Makefile.lib: name-fix``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from suture.elf import reader
from suture.errors import MODULE_MALFORMED, MODULE_NOT_FOUND, Refusal
from suture.host import files
from suture.host.progress import step
from suture.kernel import elf64, unpack
from suture.kernel.release import Target

SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")
"""``CONFIG_MODULE_COMPRESS_*``, and compression by distributions."""

BUILT_TREE = Path("include/config/kernel.release")
"""A file of a built tree that an installed ``/lib/modules/RELEASE`` lacks."""


def module_name(path: str) -> str:
    """Return the module's name of a file or kbuild path: ``snd_pcm`` of
    ``sound/core/snd-pcm.ko.xz``."""
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def index(target: Target) -> Mapping[str, Path]:
    """Return module -> file, for all modules of the target.

    In a built tree, ``modules.order`` lists the files that belong to the kernel.

    :raises Refusal: ``file-unreadable``
    """
    root = target.modules
    if (root / BUILT_TREE).exists():
        # It names object files since Linux 6.4, module files before.
        paths = [root / Path(line).with_suffix(".ko") for line in _lines(root / "modules.order")]
    else:
        paths = sorted(_walk(root))
    return {module_name(path.name): path for path in paths}


def read(path: Path) -> bytes:
    """Return a module file's ELF object, unpacked.

    :raises Refusal: ``file-unreadable``, ``module-malformed``
    """
    data = files.read_bytes(path)
    try:
        data = unpack.unpacked(data)
    except unpack.ERRORS as error:
        raise Refusal(
            MODULE_MALFORMED, str(path), f"it cannot be decompressed ({error})"
        ) from error
    if not data.startswith(b"\x7fELF"):
        raise Refusal(MODULE_MALFORMED, str(path), "it is not an ELF file")
    return data


def builtin(target: Target) -> frozenset[str]:
    """Return the names of built-in modules (``modules.builtin``).

    :raises Refusal: ``file-unreadable``
    """
    return frozenset(module_name(line) for line in _lines(target.modules / "modules.builtin"))


def modinfo(module: bytes, where: str) -> tuple[tuple[str, str], ...]:
    """Return the ``tag=value`` pairs of a module's ``.modinfo``, in order
    (``include/linux/moduleparam.h``).

    :param module: the ELF object.
    :param where: its path, for the message.
    :raises Refusal: ``module-malformed``
    """
    try:
        sections = elf64.layout(module).sections
    except elf64.Malformed as error:
        raise Refusal(MODULE_MALFORMED, where, str(error)) from error
    data = next(
        (elf64.contents(module, section) for section in sections if section.name == ".modinfo"), b""
    )
    strings = [
        entry.decode("utf-8", "replace").partition("=") for entry in data.split(b"\0") if entry
    ]
    return tuple((tag, value) for tag, _, value in strings)


def dependencies(
    target: Target, name: str, available: Mapping[str, Path] | None = None
) -> tuple[str, ...]:
    """Return the modules that must be loaded before a module, in order; built-in ones need no
    loading and are left out.

    The modules themselves name them: ``modules.dep`` exists only after the installation of a kernel
    package.

    :param available: the `index`, where it is known: it walks through thousands of files.
    :raises Refusal: ``module-not-found``, ``module-malformed``, ``file-unreadable``
    """
    available = index(target) if available is None else available
    ordered: dict[str, None] = {}
    seen: set[str] = set()

    def visit(module: str, needed_by: str) -> None:
        """Add a module's dependencies to `ordered`, then the module."""
        seen.add(module)
        if module not in available:
            if module in builtin(target):
                return
            raise Refusal(MODULE_NOT_FOUND, module, f"{needed_by} needs it")
        for needed in _needs(available[module]):
            if needed not in seen:
                visit(needed, module)
        ordered[module] = None

    visit(name.replace("-", "_"), "the command")
    ordered.pop(name.replace("-", "_"), None)
    return tuple(ordered)


def soft_dependencies(name: str, available: Mapping[str, Path]) -> tuple[str, ...]:
    """Return the modules that must be loaded before a module although it uses none of their symbols
    (``MODULE_SOFTDEP``).

    ``libcrc32c`` names ``crc32c``, an algorithm, and ext4 names ``crypto-crc32c``, as the kernel
    itself does (``include/linux/crypto.h: MODULE_ALIAS_CRYPTO``); the module with it on every
    architecture is ``crc32c_generic`` (``crypto/Makefile``).  Modules that the target lacks are
    left out.

    :raises Refusal: ``module-malformed``, ``file-unreadable``
    """
    found = []
    for tag, value in modinfo(read(available[name]), name):
        if tag != "softdep":
            continue
        for word in value.partition("post:")[0].replace("pre:", " ").split():
            plain = module_name(word).removeprefix("crypto_")
            found += [one for one in (plain, f"{plain}_generic") if one in available][:1]
    return tuple(found)


def _needs(path: Path) -> tuple[str, ...]:
    lists = [value for tag, value in modinfo(read(path), str(path)) if tag == "depends"]
    return tuple(name.replace("-", "_") for names in lists for name in names.split(",") if name)


def _walk(root: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(root):
        yield from (Path(directory, name) for name in names if name.endswith(SUFFIXES))


def _lines(path: Path) -> list[str]:
    return files.read_bytes(path).decode("utf-8", "replace").split()


def importers(target: Target, name: str) -> tuple[str, ...]:
    """Return the modules that have `name` as an undefined symbol, sorted; reads all module files.

    :raises Refusal: ``file-unreadable``, ``module-malformed``
    """
    found = []
    wanted = b"\0" + name.encode() + b"\0"  # in a string table
    with step("Searching all modules", name):
        for module, path in sorted(index(target).items()):
            data = read(path)
            if wanted in data and any(
                s.is_undefined and s.name == name for s in reader.read(data, module).symbols
            ):
                found.append(module)
    return tuple(found)
