# SPDX-License-Identifier: GPL-2.0-or-later
"""The places that every kernel writes to while it runs, as its image lists them: calls of the
tracer, static branches, static calls."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from suture.arch import Architecture
from suture.arch.live_code import LiveText, Rewrite, RewriteTable

JUMP_ENTRY = struct.Struct("<iiq")
"""``include/linux/jump_label.h: struct jump_entry``: code, target, key."""

STATIC_CALL_SITE = struct.Struct("<ii")
"""``include/linux/static_call_types.h: struct static_call_site``: address, key."""

TRAMPOLINE, KEY = "__SCT__", "__SCK__"
"""``include/linux/static_call_types.h: STATIC_CALL_TRAMP_PREFIX``, ``STATIC_CALL_KEY_PREFIX``"""

TRACER = "tracer's call"
BRANCH = "static branch"
STATIC_CALL = "static call"

Tracers = Callable[[int], bool]
"""Whether a traced function may call an address."""


def common_tables(
    text: LiveText, machine: Architecture, tracers: Tracers
) -> Iterator[RewriteTable]:
    """Yield the tables, in an order in which none overwrites what a later one needs."""
    yield static_branches(text, machine)
    yield static_calls(text, machine)
    yield traced(text, machine, tracers)


def static_branches(text: LiveText, machine: Architecture) -> RewriteTable:
    """A branch is a jump or a no-op, as its key says: ``jump_label_type()``."""
    entries: dict[int, tuple[int, int]] = {}
    for _, address, data in _exactly(text, "__jump_table"):
        for number, (code, target, key) in enumerate(_each(JUMP_ENTRY, data)):
            place = address + number * JUMP_ENTRY.size
            entries[place + code] = place + 4 + target, place + 8 + key
    starts = sorted(entries)

    def make(index: int) -> Rewrite | None:
        start = starts[index]
        target, tagged = entries[start]
        # arch_jump_entry_size(): by the instruction that is there.
        first = next(machine.decoding.instructions(text.shipped(start, 5)), None)
        if first is None:
            return None
        size = first.end - first.start

        def after(before: bytes, live: bytes) -> Iterator[bytes]:
            enabled = text.live(tagged & ~3, 4)
            if any(enabled) != bool(tagged & 1):
                yield machine.live_code.jump(start, target, size)
            else:
                yield machine.live_code.no_op(size)

        return Rewrite(start, size, BRANCH, after)

    return RewriteTable(starts, make)


def static_calls(text: LiveText, machine: Architecture) -> RewriteTable:
    """A static call calls the function of its key, ``arch_static_call_transform()``."""
    entries: dict[int, int] = {}
    for _, address, data in _exactly(text, ".static_call_sites"):
        for number, (place, key) in enumerate(_each(STATIC_CALL_SITE, data)):
            at = address + number * STATIC_CALL_SITE.size
            entries[at + place] = _key(text, at + 4 + key & ~3)
    starts = sorted(entries)
    return RewriteTable(
        starts, lambda index: static_call(text, machine, starts[index], entries[starts[index]])
    )


def _key(text: LiveText, address: int) -> int:
    """Return the address of a key.  A module that may use a static call, but not change it, names
    the trampoline in its place (``EXPORT_STATIC_CALL_TRAMP()``, ``kernel/static_call_inline.c:
    tramp_key_lookup()``)."""
    for name in text.names(address):
        if name.startswith(TRAMPOLINE):
            return text.symbol(KEY + name.removeprefix(TRAMPOLINE)) or address
    return address


def static_call(text: LiveText, machine: Architecture, start: int, key: int) -> Rewrite | None:
    """Return the place of one static call, or of the trampoline of its name.

    :param key: the address of its ``struct static_call_key``, which begins with the function.
    """
    code = text.shipped(start, 6)
    first = next(machine.decoding.instructions(code), None)
    if first is None:
        return None

    def after(before: bytes, live: bytes) -> Iterator[bytes]:
        function = int.from_bytes(text.live(key, 8), "little")
        yield from machine.live_code.static_call(start, function, code, text)

    size = max(first.end - first.start, machine.live_code.call_size)
    return Rewrite(start, size, STATIC_CALL, after)


def traced(text: LiveText, machine: Architecture, tracers: Tracers) -> RewriteTable:
    """A function begins with a no-op, or with the call of a tracer or live patch
    (``kernel/trace/ftrace.c``, ``arch/x86/kernel/ftrace.c: ftrace_replace_code()``)."""
    words = [data for _, _, data in _exactly(text, "__mcount_loc")]
    starts = sorted(word for data in words for (word,) in _each(struct.Struct("<Q"), data))
    arch = machine.live_code

    def make(index: int) -> Rewrite:
        start = starts[index]

        def after(before: bytes, live: bytes) -> Iterator[bytes]:
            yield arch.no_op(arch.call_size)
            target = arch.call_target(live, start)
            if target is not None and tracers(target):
                yield live

        return Rewrite(start, arch.call_size, TRACER, after)

    return RewriteTable(starts, make)


def _exactly(text: LiveText, name: str) -> Iterator[tuple[str, int, bytes]]:
    return (found for found in text.tables(name) if found[0] == name)


def _each(entry: struct.Struct, data: bytes) -> Iterator[tuple[int, ...]]:
    return entry.iter_unpack(data[: len(data) // entry.size * entry.size])
