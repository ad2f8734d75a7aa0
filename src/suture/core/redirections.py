# SPDX-License-Identifier: GPL-2.0-or-later
"""What ftrace does with the functions that live patches replace, as
``/sys/kernel/tracing/enabled_functions`` shows it (kernel/trace/ftrace.c: t_show()).

A live patch redirects a function by a flag of ftrace, ``I`` (``FTRACE_FL_IPMODIFY``).  BPF
programs of the kinds fentry, fexit and fmod_ret, and those of security hooks, use a trampoline that
the function calls directly, ``D`` (``FTRACE_FL_DIRECT``).  ftrace lets both share a function, but
not in every order: if a program is attached to a function of a live patch in force, and then
another one, Linux 6.1 loses both.  The old function runs, though the core says that the live patch
is in force, and the list no longer has the function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from suture.core import kallsyms, modules
from suture.core.patches import LoadedPatch
from suture.core.running import ROOT, text
from suture.model import VMLINUX

ENABLED_FUNCTIONS = "sys/kernel/tracing/enabled_functions"

_LINE = re.compile(r"(\S+)(?: \[(\w+)\])? \(\d+\)( R|  )?( I|  )?( D|  )?")
"""``cmdline_proc_show (2) R I D ->arch_ftrace_ops_list_func+0x0/0x1d0``; a function of a module has
the module's name behind its own.  Spaces at the end of a line may be missing."""

_DIRECT = re.compile(r"\s+direct-->(\S+?)(?:\+0x\w+/0x\w+)?(?: \[\w+\])?$")


@dataclass(frozen=True, slots=True)
class FtraceUse:
    """What ftrace does with one function.

    :ivar is_redirected: something redirects it: a live patch, or another user of ``IPMODIFY``.
    :ivar direct: the trampoline that it calls, as ``bpf_trampoline_6442525122``; "" without one.
    :ivar tramp: who uses it, where ftrace names a single one; "" otherwise.
    """

    is_redirected: bool
    direct: str
    tramp: str


@dataclass(frozen=True, slots=True)
class Hindrance:
    """A function of a live patch in force that something else uses too.

    :ivar direct: the trampoline of BPF programs that are attached to it; "" without any.
    :ivar is_in_force: the function is redirected; otherwise the old code runs.
    """

    patch: str
    objname: str
    function: str
    direct: str
    is_in_force: bool

    @property
    def found(self) -> str:
        """The hindrance in words."""
        by = f"BPF programs are attached to {self.function} ({self.direct})" if self.direct else ""
        if self.is_in_force:
            return by
        old = f"the old {self.function} runs, for ftrace does not redirect it"
        return f"{old}; {by}" if by else old


Uses = Mapping[tuple[str, str], FtraceUse]
"""Object and function -> what ftrace does with it."""


def uses(root: Path = ROOT) -> Uses | None:
    """Return what ftrace does with each function; None where we cannot see that.

    The file exists where tracefs is mounted and we may read it.
    """
    path = root / ENABLED_FUNCTIONS
    try:
        path.open("rb").close()
    except OSError:
        return None
    found: dict[tuple[str, str], FtraceUse] = {}
    key = None
    for line in text(path).splitlines():
        direct = _DIRECT.match(line)
        match = _LINE.match(line)
        if direct and key is not None:
            found[key] = FtraceUse(found[key].is_redirected, direct[1], found[key].tramp)
        elif match:
            key = (match[2] or VMLINUX, match[1])
            # Several functions can have one name, as type_show().
            others = found.get(key, FtraceUse(False, "", ""))
            direct_by = "a trampoline" if match[5] == " D" else others.direct
            tramp = line.partition("tramp: ")[2].strip() or others.tramp
            found[key] = FtraceUse(match[4] == " I" or others.is_redirected, direct_by, tramp)
    return found


def hindrances(patches: Iterable[LoadedPatch], root: Path = ROOT) -> tuple[Hindrance, ...]:
    """Return the functions of live patches in force that the old code runs for, or that BPF
    programs are attached to; none where ftrace's list cannot be read."""
    known = uses(root)
    if known is None:
        return ()
    return tuple(found for patch in patches for found in _of(patch, known, root))


def _of(patch: LoadedPatch, known: Uses, root: Path) -> Iterator[Hindrance]:
    if not patch.enabled or patch.transition:
        return
    for item in patch.objects:
        is_there = item.name == VMLINUX or modules.read(item.name, root) is not None
        is_there = is_there and item.patched is not False
        for function in item.functions if is_there else ():
            use = _use(item.name, function.name, known, root)
            if use is not None and (use.direct or not use.is_redirected):
                yield Hindrance(patch.name, item.name, function.name, use.direct, use.is_redirected)


def _use(objname: str, name: str, known: Uses, root: Path) -> FtraceUse | None:
    """Return what ftrace does with a function; None where that is not known.

    The list has one name of each function, which may be another than the live patch uses.
    """
    if (objname, name) in known:
        return known[objname, name]
    names = kallsyms.other_names(objname, name, root)
    others = [known[objname, other] for other in names if (objname, other) in known]
    unused = FtraceUse(is_redirected=False, direct="", tramp="")
    return others[0] if others else unused if names else None
