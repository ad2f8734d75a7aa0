# SPDX-License-Identifier: GPL-2.0-or-later
"""The target's modules: where their files are, what is in them, what they need, and which are built
in.

A module's name is the one the kernel and livepatch use (``/sys/module``): the file's name without
its suffixes and with ``-`` turned into ``_`` (``scripts/Makefile.lib: name-fix``).
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
"""``CONFIG_MODULE_COMPRESS_*``, and what distributions do by themselves."""

BUILT_TREE = Path("include/config/kernel.release")
"""What a tree that was built has, and an installed ``/lib/modules/RELEASE`` has not."""


def module_name(path: str) -> str:
    """The module's name for a file or a kbuild path: ``sound/core/snd-pcm.ko.xz`` is
    ``snd_pcm``."""
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def index(target: Target) -> Mapping[str, Path]:
    """Every module file of the target by the module's name.

    In a tree that was built, ``modules.order`` says which of the files lying about belong to the
    kernel.

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
    """A module file as the ELF object that the kernel gets.

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
    """The names of what could have been a module and is built in (``modules.builtin``).

    :raises Refusal: ``file-unreadable``
    """
    return frozenset(module_name(line) for line in _lines(target.modules / "modules.builtin"))


def modinfo(module: bytes, where: str) -> tuple[tuple[str, str], ...]:
    """The ``tag=value`` pairs of a module's ``.modinfo``, in order
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


def dependencies(target: Target, name: str) -> tuple[str, ...]:
    """What has to be loaded before a module, in an order that works; built-in modules need no
    loading and are left out.

    Taken from the modules themselves, since ``modules.dep`` is only made when a kernel package is
    installed.

    :raises Refusal: ``module-not-found``, ``module-malformed``, ``file-unreadable``
    """
    available = index(target)
    ordered: dict[str, None] = {}
    seen: set[str] = set()

    def visit(module: str, asked_by: str) -> None:
        seen.add(module)
        if module not in available:
            if module in builtin(target):
                return
            raise Refusal(MODULE_NOT_FOUND, module, f"{asked_by} needs it")
        for needed in _needs(available[module]):
            if needed not in seen:
                visit(needed, module)
        ordered[module] = None

    visit(name.replace("-", "_"), "the command")
    ordered.pop(name.replace("-", "_"), None)
    return tuple(ordered)


def asked_for(target: Target, name: str) -> tuple[str, ...]:
    """The modules that one asks to be loaded before it although it uses none of their symbols
    (``MODULE_SOFTDEP``).

    ``libcrc32c`` asks for ``crc32c``, the name of an algorithm, and ext4 for ``crypto-crc32c``, as
    the kernel itself would (``include/linux/crypto.h: MODULE_ALIAS_CRYPTO``); the module that has
    it everywhere is ``crc32c_generic`` (``crypto/Makefile``).  What the target has not got is left
    out.
    """
    available = index(target)
    lists = [value for tag, value in modinfo(read(available[name]), name) if tag == "softdep"]
    before = [
        word for words in lists for word in words.partition("post:")[0].replace("pre:", " ").split()
    ]
    plain = [module_name(word).removeprefix("crypto_") for word in before]
    candidates = [(name, f"{name}_generic") for name in plain]
    return tuple(
        found for names in candidates if (found := next((n for n in names if n in available), None))
    )


def _needs(path: Path) -> tuple[str, ...]:
    lists = [value for tag, value in modinfo(read(path), str(path)) if tag == "depends"]
    return tuple(name.replace("-", "_") for names in lists for name in names.split(",") if name)


def _walk(root: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(root):
        yield from (Path(directory, name) for name in names if name.endswith(SUFFIXES))


def _lines(path: Path) -> list[str]:
    return files.read_bytes(path).decode("utf-8", "replace").split()


def importers(target: Target, name: str) -> tuple[str, ...]:
    """The names of the modules that have `name` as an undefined symbol, sorted.  All module files
    are read.

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
