# SPDX-License-Identifier: GPL-2.0-or-later
"""The threads of a kernel, found once and kept.

To find them, the whole core kernel is searched, which takes some seconds.  The first build does
that while the compilers run, and saves what it found; later builds read a few kilobytes.  A module
is searched when a build replaces a function of it for the first time.

The name of an index is the digest of the kernel's notes, where the linker's build ID is, and of its
banner, and of a module's contents; a digest at its start shows whether it is complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from suture.errors import DISK_FULL, Refusal
from suture.host import files
from suture.host.paths import cache
from suture.kernel.btf import PTR, VOID, Btf
from suture.verify.call_graph import CallGraph, call_graph
from suture.verify.idle import idle_functions
from suture.verify.shipped import Shipped, ShippedImage
from suture.verify.thread_mains import ThreadMain, Threads, find_threads, sleeping

FORMAT = "suture thread index 3\n"
"""The number changes with the form of an index, and with what `suture.verify.thread_mains` and
`suture.verify.idle` find."""

DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class ObjectThreads:
    """What is known of the threads of an object.

    :ivar sleeping: the names of its functions that sleep themselves.
    """

    threads: Threads
    sleeping: frozenset[str]


def read_threads(vmlinux: ShippedImage, types: Callable[[], Btf | None]) -> ObjectThreads:
    """Return the threads of the core kernel, from its index if there is one.

    :param types: returns the kernel's types.
    """
    return _kept(kernel_digest(vmlinux), lambda: kernel_threads(vmlinux, types()))


def read_module_threads(
    module: Shipped,
    vmlinux: ShippedImage,
    types: Callable[[], Btf | None],
    sleeps_outside: Callable[[str], bool],
) -> ObjectThreads:
    """Return the threads of a module, from its index if there is one.

    :param types: returns the module's types.
    :param sleeps_outside: whether another object's function sleeps, by name.
    """

    def make() -> ObjectThreads:
        """Search the module."""
        graph = call_graph(module)
        known = thread_types(graph, types())
        return ObjectThreads(find_threads(graph, known.get, sleeps_outside), sleeping(graph))

    digest = hashlib.sha256(kernel_digest(vmlinux).encode())
    for region in module.regions():
        digest.update(region.data)
    return _kept(digest.hexdigest(), make)


def kernel_threads(vmlinux: ShippedImage, types: Btf | None) -> ObjectThreads:
    """Search the core kernel for its threads."""
    graph = call_graph(vmlinux)
    known = thread_types(graph, types)
    threads = find_threads(graph, known.get, lambda _: False)
    return ObjectThreads(replace(threads, idle=idle_functions(graph)), sleeping(graph))


def thread_types(graph: CallGraph, types: Btf | None) -> dict[str, bool]:
    """Return which functions have the type ``int (*)(void *)``, by name, where that is known.

    A name that several functions have is not in it: ``watchdog`` is a thread (kernel/hung_task.c),
    and BTF may have the type of another one.
    """
    counts: dict[str, int] = {}
    for names in graph.names.values():
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    found: dict[str, bool] = {}
    by_number: dict[int, bool] = {}
    for name, number in () if types is None else types.named_functions():
        if counts.get(name) == 1:
            if number not in by_number:
                by_number[number] = types is not None and _is_thread_type(types, number)
            found[name] = found.get(name, False) or by_number[number]
    return found


def _is_thread_type(types: Btf, number: int) -> bool:
    prototype = types.prototype(number)
    if len(prototype.parameters) != 1 or types[types.plain(prototype.returns)].name != "int":
        return False
    parameter = types[types.plain(prototype.parameters[0])]
    return parameter.kind == PTR and types.plain(parameter.value) == VOID


def kernel_digest(vmlinux: ShippedImage) -> str:
    """Return a digest that no other kernel has."""
    image = vmlinux.image
    notes = image.section(".notes") or image.section(".text") or b""
    return hashlib.sha256(FORMAT.encode() + image.banner.encode() + notes).hexdigest()


def _kept(digest: str, make: Callable[[], ObjectThreads]) -> ObjectThreads:
    path = cache() / "indexes" / f"{digest}.threads"
    found = _load(path)
    if found is None:
        found = make()
        _save(path, found)
    return found


def _load(path: Path) -> ObjectThreads | None:
    """Return what is kept, or None if there is no complete index."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, body = content[:DIGEST], content[DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        return None
    kept = json.loads(body)
    mains = {int(at): ThreadMain(*values) for at, values in kept["mains"].items()}
    sleepers = {
        int(at): tuple(ThreadMain(*main) for main in users)
        for at, users in kept["sleepers"].items()
    }
    imported = {
        name: tuple(ThreadMain(*main) for main in users) for name, users in kept["imported"].items()
    }
    idle = {int(at): why for at, why in kept["idle"].items()}
    return ObjectThreads(Threads(mains, sleepers, imported, idle), frozenset(kept["sleeping"]))


def _save(path: Path, found: ObjectThreads) -> None:
    """Save an index.  On a full disk, this run continues without, and the next one is slower."""
    threads = found.threads
    document: dict[str, object] = {
        "mains": {at: astuple(main) for at, main in threads.mains.items()},
        "sleepers": {at: list(map(astuple, users)) for at, users in threads.sleepers.items()},
        "imported": {at: list(map(astuple, users)) for at, users in threads.imported.items()},
        "idle": dict(threads.idle),
        "sleeping": sorted(found.sleeping),
    }
    body = json.dumps(document).encode()
    try:
        files.write_atomic(path, hashlib.sha256(body).digest() + body, durable=False)
    except Refusal as refusal:
        if refusal.kind is not DISK_FULL:
            raise
