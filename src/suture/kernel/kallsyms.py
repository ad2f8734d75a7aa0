# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's symbols in its own order, as ``/proc/kallsyms`` lists them.

The order matters: ``sympos``, by which livepatch distinguishes symbols of one name, is a position
in it, within one object (``kernel/livepatch/core.c: klp_find_object_symbol``).
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import suture
from suture.errors import COMMAND_FAILED, KALLSYMS_MALFORMED, KALLSYMS_NOT_FOUND, Refusal
from suture.host import files, run
from suture.model import VMLINUX

LEAST_SYMBOLS = 1000
"""A result with fewer symbols was misread."""


class KernelSymbol(NamedTuple):
    """One line of ``/proc/kallsyms``.

    :ivar type: nm(1)'s letter; percpu symbols have ``A``, and an offset as address.
    :ivar module: the object that holds it, `VMLINUX` or a module's name.
    """

    address: int
    type: str
    name: str
    module: str


class Kallsyms:
    """Symbols in the kernel's order, with lookups by name and address."""

    def __init__(self, symbols: Sequence[KernelSymbol]) -> None:
        self._symbols = tuple(symbols)

    @property
    def symbols(self) -> tuple[KernelSymbol, ...]:
        """All symbols, in the kernel's order."""
        return self._symbols

    def named(self, name: str, module: str | None = None) -> tuple[KernelSymbol, ...]:
        """Return the symbols of a name, in order; with `module`, those of that object only."""
        found = self._of_name(name)
        return tuple(symbol for symbol in found if module is None or symbol.module == module)

    def sympos(self, symbol: KernelSymbol) -> int:
        """Return 0 if the name is unique in its object, else its 1-based position among its
        namesakes there.

        :raises ValueError: it is not one of these symbols.
        """
        namesakes = self.named(symbol.name, symbol.module)
        position = namesakes.index(symbol) + 1
        return 0 if len(namesakes) == 1 else position

    def at(self, address: int) -> tuple[KernelSymbol, ...]:
        """Return the symbols with exactly this address (aliases), in order."""
        return tuple(self._by_address.get(address, ()))

    def containing(self, address: int) -> KernelSymbol | None:
        """Return the last symbol at or before an address, or None."""
        position = bisect_right(self._addresses, address)
        return self._by_address[self._addresses[position - 1]][-1] if position else None

    def size(self, symbol: KernelSymbol) -> int:
        """Return the bytes up to the next higher address with a symbol, padding included; 0 for the
        last symbol.

        kallsyms has no sizes; ``kernel/kallsyms.c: get_symbol_pos`` computes them in this way too.
        """
        position = bisect_right(self._addresses, symbol.address)
        return self._addresses[position] - symbol.address if position < len(self._addresses) else 0

    def _of_name(self, name: str) -> Sequence[KernelSymbol]:
        return self._by_name.get(name, ())

    @cached_property
    def _by_name(self) -> dict[str, list[KernelSymbol]]:
        table: defaultdict[str, list[KernelSymbol]] = defaultdict(list)
        for symbol in self.symbols:
            table[symbol.name].append(symbol)
        return dict(table)

    @cached_property
    def _by_address(self) -> dict[int, list[KernelSymbol]]:
        table: defaultdict[int, list[KernelSymbol]] = defaultdict(list)
        for symbol in self.symbols:
            table[symbol.address].append(symbol)
        return dict(table)

    @cached_property
    def _addresses(self) -> list[int]:
        return sorted(self._by_address)


def extract(vmlinux: Path) -> bytes:
    """Return the symbols of a kernel image as ``/proc/kallsyms`` lists them for root, with
    ``nokaslr``.

    :param vmlinux: the ELF file from the bootable image; it needs no symbol table.
    :raises Refusal: ``kallsyms-not-found``, ``file-unreadable``, ``disk-full``
    """
    package = str(Path(suture.__file__).parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    try:
        finished = run.check(
            [sys.executable, "-m", "suture.kernel.kallsyms_child", vmlinux],
            env={**os.environ, "PYTHONPATH": path},
        )
    except Refusal as error:
        if error.kind is not COMMAND_FAILED:
            raise
        raise Refusal(
            KALLSYMS_NOT_FOUND,
            str(vmlinux),
            "no symbol table was found in it",
            evidence=error.evidence[-1:],
        ) from error
    data = finished.stdout.encode()
    count = data.count(b"\n")
    if count < LEAST_SYMBOLS:
        raise Refusal(KALLSYMS_NOT_FOUND, str(vmlinux), f"it has only {count:,} symbols")
    return data


def read(path: Path) -> Kallsyms:
    """Read a kallsyms listing or a ``System.map``.

    :raises Refusal: ``file-unreadable``, ``kallsyms-malformed``
    """
    return parse(files.read_bytes(path), str(path))


def symbol(words: Sequence[str]) -> KernelSymbol:
    """Return the symbol of one line, which is split into words.

    :raises ValueError: the line is not a symbol.
    """
    if len(words) == 3:
        address, kind, name = words
        module = VMLINUX
    elif len(words) == 4 and words[3][0] == "[" and words[3][-1] == "]":
        address, kind, name = words[:3]
        module = words[3][1:-1]
    else:
        raise ValueError
    if len(kind) != 1:
        raise ValueError
    return KernelSymbol(int(address, 16), kind, name, module)


def parse(data: bytes, where: str) -> Kallsyms:
    """Parse lines ``ADDRESS TYPE NAME``, with ``[MODULE]`` after those of modules.

    :raises Refusal: ``kallsyms-malformed``
    """
    symbols = []
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        words = line.split()
        if not words:
            continue
        try:
            symbols.append(symbol(words))
        except ValueError:
            raise Refusal(
                KALLSYMS_MALFORMED, f"{where}:{number}", f"{line.strip()[:72]!r} is not a symbol"
            ) from None
    if not symbols:
        raise Refusal(KALLSYMS_MALFORMED, where, "it contains no symbols")
    if not any(one.address for one in symbols):
        raise Refusal(
            KALLSYMS_MALFORMED,
            where,
            "every address in it is 0",
            why="The kernel shows addresses in /proc/kallsyms only to root (kernel.kptr_restrict).",
            remedy="Take the listing as root.",
        )
    return Kallsyms(symbols)
