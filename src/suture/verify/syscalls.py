# SPDX-License-Identifier: GPL-2.0-or-later
"""The target's definitions of system calls: the types of their arguments.

A kernel with ``CONFIG_FTRACE_SYSCALLS`` has them as text in ``struct syscall_metadata``
(include/trace/syscall.h).  Otherwise, and for compat system calls, which have no metadata, they are
read from the ``SYSCALL_DEFINE`` in the target's source.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from suture.arch.syscalls import SystemCalls
from suture.host.run import run
from suture.verify.shipped import ShippedImage

MOST_ARGUMENTS = 6

_OLD_NAME = re.compile(
    r"(?P<compat>compat_)?(?:sys|SyS)_(?P<name>\w+)"
    r"|__(?:se|do)_(?P<compat2>compat_)?sys_(?P<name2>\w+)"
)
_DIRECTORIES = (
    "block",
    "drivers",
    "fs",
    "io_uring",
    "ipc",
    "kernel",
    "mm",
    "net",
    "security",
)
_ANNOTATIONS = re.compile(r"\b__(?:user|force|iomem|percpu|rcu)\b")


@dataclass(frozen=True, slots=True)
class SystemCall:
    """A system call, by the name that its function had before 4.17: ``sys_NAME``, ``SyS_NAME``,
    ``compat_sys_NAME``.

    :ivar compat: the version for 32-bit programs, if that differs from the native one.
    """

    name: str
    compat: bool

    def entries(self, calls: SystemCalls) -> dict[str, str]:
        """Map each function that may enter the call to the macro that takes its arguments out of
        the registers; a target has some of these functions (asm/syscall_wrapper.h)."""
        plain = f"{'compat_' if self.compat else ''}sys_{self.name}"
        return {f"{entry.prefix}{plain}": entry.arguments for entry in calls.entries}


@dataclass(frozen=True, slots=True)
class Definition:
    """A system call as the target defines it.

    :ivar types: of its arguments, in C, without ``__user``.
    """

    call: SystemCall
    types: tuple[str, ...]


def old_system_call(function: str) -> SystemCall | None:
    """Return the system call of a function's name from before 4.17; None for other names."""
    match = _OLD_NAME.fullmatch(function)
    if match is None:
        return None
    return SystemCall(match["name"] or match["name2"], bool(match["compat"] or match["compat2"]))


def find_definition(vmlinux: ShippedImage, tree: Path, call: SystemCall) -> Definition | None:
    """Return the target's definition of a system call; None if it has no such call.

    :param tree: the target's source.
    """
    found = None if call.compat else _from_image(vmlinux, call)
    return found or _from_source(tree, call, vmlinux.arch.source)


def _from_image(vmlinux: ShippedImage, call: SystemCall) -> Definition | None:
    """Read ``struct syscall_metadata``: name, number, count of arguments, their types and names."""
    places = vmlinux.addresses(f"__syscall_meta__{call.name}")
    places = places or vmlinux.addresses(f"__syscall_meta_{call.name}")
    head = vmlinux.read(places[0], 32) if len(places) == 1 else None
    if head is None or len(head) != 32:
        return None
    name, _, count, types, _ = struct.unpack(f"{vmlinux.machine.prefix}QiiQQ", head)
    if not 0 <= count <= MOST_ARGUMENTS or _text(vmlinux, name) != f"sys_{call.name}":
        return None
    pointers = vmlinux.read(types, 8 * count) if count else b""
    if pointers is None or len(pointers) != 8 * count:
        return None
    form = f"{vmlinux.machine.prefix}Q"
    texts = [_text(vmlinux, pointer) for (pointer,) in struct.iter_unpack(form, pointers)]
    return Definition(call, tuple(_plain(text) for text in texts)) if all(texts) else None


def _text(vmlinux: ShippedImage, address: int) -> str:
    data = vmlinux.read(address, 128) or b""
    return data.partition(b"\0")[0].decode("ascii", "replace")


def _from_source(tree: Path, call: SystemCall, source: str) -> Definition | None:
    """Read the definition in the source; None unless all definitions that are found agree.

    :param source: the architecture's directory below ``arch/``.
    """
    macro = f"{'COMPAT_' if call.compat else ''}SYSCALL_DEFINE[0-6]"
    pattern = rf"^{macro}\({call.name}[,)]"
    every = (f"arch/{source}", *_DIRECTORIES)
    directories = [directory for directory in every if (tree / directory).is_dir()]
    found = run(["grep", "-rlE", "--include=*.c", pattern, *directories], cwd=tree)
    definitions: set[tuple[str, ...]] = set()
    for path in found.stdout.split():
        definitions.update(_parsed((tree / path).read_text(errors="replace"), pattern))
    return Definition(call, definitions.pop()) if len(definitions) == 1 else None


def _parsed(text: str, pattern: str) -> Iterator[tuple[str, ...]]:
    """Yield the types of the arguments of each definition: every other word of the macro's list."""
    for match in re.finditer(pattern, text, re.MULTILINE):
        words = text[match.end() : text.index(")", match.end() - 1)].split(",")
        yield (
            tuple(_plain(word) for word in words[::2] if word.strip())
            if match[0].endswith(",")
            else ()
        )


def _plain(text: str) -> str:
    return " ".join(_ANNOTATIONS.sub(" ", text).split())
