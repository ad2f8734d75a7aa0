# SPDX-License-Identifier: GPL-2.0-or-later
"""Lookups in a kernel's symbols without reading all of them.

A build looks up a few hundred of the hundred thousand symbols.  The first build reads them all, and
saves the order of their lines by name and by address; later builds do binary searches in those.

The name of an index is the digest of its listing, so that it cannot belong to another one; a digest
at its start shows whether it is complete.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from suture.errors import DISK_FULL, Refusal
from suture.host import files
from suture.host.paths import cache
from suture.kernel import kallsyms
from suture.kernel.kallsyms import Kallsyms, KernelSymbol

FORMAT = f"suture symbol index 1 {sys.byteorder} {array('I').itemsize}\n".encode()
DIGEST = hashlib.sha256().digest_size


def read(path: Path) -> Kallsyms:
    """Read a kallsyms listing or a ``System.map``, as `kallsyms.read` does.

    :raises Refusal: ``file-unreadable``, ``kallsyms-malformed``
    """
    data = files.read_bytes(path)
    kept = cache() / "indexes" / hashlib.sha256(data).hexdigest()
    orders = _load(kept)
    if orders is not None:
        return IndexedKallsyms(data, *orders)
    found = kallsyms.parse(data, str(path))
    _save(kept, data, found)
    return found


class IndexedKallsyms(Kallsyms):
    """Symbols that are parsed when they are looked up.

    :param data: the listing.
    :param by_name: the offsets of its lines, by name, and within a name in their order.
    :param by_address: the same, by address.
    """

    def __init__(self, data: bytes, by_name: Sequence[int], by_address: Sequence[int]) -> None:
        self._data, self._names, self._places = data, by_name, by_address

    @cached_property
    def symbols(self) -> tuple[KernelSymbol, ...]:
        """All symbols; the whole listing is parsed at the first use."""
        return kallsyms.parse(self._data, "the kernel's symbols").symbols

    def _of_name(self, name: str) -> Sequence[KernelSymbol]:
        first = bisect_left(self._names, name, key=self._name)
        last = first
        while last < len(self._names) and self._name(self._names[last]) == name:
            last += 1
        return [self._symbol(start) for start in self._names[first:last]]

    def at(self, address: int) -> tuple[KernelSymbol, ...]:
        """Return the symbols with exactly this address, in order."""
        first = bisect_left(self._places, address, key=self._address)
        last = bisect_right(self._places, address, lo=first, key=self._address)
        return tuple(self._symbol(start) for start in self._places[first:last])

    def containing(self, address: int) -> KernelSymbol | None:
        """Return the last symbol at or before an address, or None."""
        position = bisect_right(self._places, address, key=self._address)
        return self._symbol(self._places[position - 1]) if position else None

    def size(self, symbol: KernelSymbol) -> int:
        """Return the bytes up to the next higher address with a symbol; 0 for the last symbol."""
        position = bisect_right(self._places, symbol.address, key=self._address)
        if position == len(self._places):
            return 0
        return self._address(self._places[position]) - symbol.address

    def _line(self, start: int) -> str:
        end = self._data.find(b"\n", start)
        return self._data[start : end if end >= 0 else len(self._data)].decode("utf-8", "replace")

    def _name(self, start: int) -> str:
        return self._line(start).split(None, 3)[2]

    def _address(self, start: int) -> int:
        return int(self._line(start).split(None, 1)[0], 16)

    def _symbol(self, start: int) -> KernelSymbol:
        return kallsyms.symbol(self._line(start).split())


def _load(path: Path) -> tuple[Sequence[int], Sequence[int]] | None:
    """Return the two orders, or None if there is no complete index."""
    try:
        content = memoryview(path.read_bytes())
    except OSError:
        return None
    digest, body = content[:DIGEST], content[DIGEST:]
    if hashlib.sha256(body).digest() != digest or body[: len(FORMAT)] != FORMAT:
        return None
    starts = body[len(FORMAT) :].cast("I")
    return starts[: len(starts) // 2], starts[len(starts) // 2 :]


def _save(path: Path, data: bytes, found: Kallsyms) -> None:
    """Save an index.  On a full disk, this run continues without, and the next one is slower."""
    lines = data.split(b"\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    used = [
        start
        for start, line in zip(starts, lines, strict=False)
        if line.decode("utf-8", "replace").split()
    ]
    symbols, order = found.symbols, range(len(found.symbols))
    by_name = sorted(order, key=lambda index: symbols[index].name)
    by_address = sorted(order, key=lambda index: symbols[index].address)
    orders = array("I", [used[index] for index in (*by_name, *by_address)])
    body = FORMAT + orders.tobytes()
    try:
        files.write_atomic(path, hashlib.sha256(body).digest() + body, durable=False)
    except Refusal as refusal:
        if refusal.kind is not DISK_FULL:
            raise
