# SPDX-License-Identifier: GPL-2.0-or-later
"""What a running kernel writes into its own code, as its image foretells it.

A kernel changes its code at boot, by the processor that it finds, and later, for static branches,
static calls and tracing.  Its image has a table for each of these, with the places; the kernel may
free the tables after boot.  An architecture turns each entry of its own tables into a `Rewrite`:
the place, and what the code there may become.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from suture.arch.boot_relocations import BootRelocations


class Rewrite(NamedTuple):
    """A place in code that the kernel may write to.

    :ivar what: the kind of place, for people.
    :ivar after: the code before, and the live code -> everything that the code may be afterwards.
        The live code is for places where a part is free, such as the address that a tracer chose.
    """

    start: int
    size: int
    what: str
    after: Callable[[bytes, bytes], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class RewriteTable:
    """The entries of one table of an image.

    :ivar starts: where the places begin, ascending.
    :ivar make: from an index of `starts` to the place; some entries turn out to be none.
    """

    starts: Sequence[int]
    make: Callable[[int], Rewrite | None]


class FeatureBits(NamedTuple):
    """Where a kernel keeps the features of its processor, a bit for each.

    :ivar struct: the type of the variable; `member`: the array of numbers of 32 bits in it.
    """

    variable: str
    struct: str
    member: str


class LiveText(Protocol):
    """One object of a running kernel, in its image and in memory.

    All addresses are those of the running kernel, and so are the addresses in the image's bytes.
    """

    def shipped(self, address: int, size: int) -> bytes:
        """Return bytes of the image, fewer at the end of a section; none outside it."""

    def live(self, address: int, size: int) -> bytes:
        """Return bytes of memory, of any object; none where it cannot be read."""

    def tables(self, name: str) -> Iterator[tuple[str, int, bytes]]:
        """Yield name, address and contents of the sections whose names begin so."""

    def symbol(self, name: str) -> int | None:
        """Return the address of a symbol of the core kernel, the first of that name; or None."""

    def names(self, address: int) -> Sequence[str]:
        """Return the core kernel's symbols at an address."""

    def size_of(self, struct: str) -> int:
        """Return the bytes of a structure of the kernel's; 0 if not known."""

    def has_feature(self, number: int) -> bool | None:
        """Whether the processor has a feature, by the kernel's number; None if not known."""


@dataclass(frozen=True, slots=True)
class CodeRewriting:
    """An architecture's rewrites.

    :ivar features: see there.
    :ivar tables: its own tables, in the order in which the kernel goes through them.
    :ivar relocations: what follows the kernel's ELF file in its image -> the places that change
        when it moves itself at boot, or None.
    :ivar normal: code, its address and the text around it -> a value that is equal for code that
        does the same: no-ops of whatever form, jumps of whatever length.
    :ivar no_op: the no-op of a size.
    :ivar jump: address, target, size -> a jump of that size.
    :ivar static_call: site, function or 0, and the code before -> what the site may be.
    :ivar before_entry: text, and the address of a function -> the place before it that the kernel
        writes to, or None.
    :ivar call_size: bytes of the call that a function begins with.
    :ivar call_target: code and its address -> the target of the call that it is, or None.
    :ivar tracers: the functions that a traced function may call (``FTRACE_ADDR``).
    :ivar probe_size: the code where a probe is -> how many bytes the probe has changed there.
    """

    features: FeatureBits
    tables: Callable[[LiveText], Iterator[RewriteTable]]
    relocations: Callable[[bytes], BootRelocations | None]
    normal: Callable[[bytes, int, LiveText], Hashable]
    no_op: Callable[[int], bytes]
    jump: Callable[[int, int, int], bytes]
    static_call: Callable[[int, int, bytes, LiveText], Iterator[bytes]]
    before_entry: Callable[[LiveText, int], Rewrite | None]
    call_size: int
    call_target: Callable[[bytes, int], int | None]
    tracers: frozenset[str]
    probe_size: Callable[[bytes], int]
