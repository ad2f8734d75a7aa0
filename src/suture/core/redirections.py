# SPDX-License-Identifier: GPL-2.0-or-later
"""What ftrace does with the functions that live patches replace, as
``/sys/kernel/tracing/enabled_functions`` shows it (kernel/trace/ftrace.c: t_show()).

A live patch redirects a function by a flag of ftrace, ``I`` (``FTRACE_FL_IPMODIFY``).  BPF
programs of the kinds fentry, fexit and fmod_ret, and those of security hooks, use a trampoline that
the function calls directly, ``D`` (``FTRACE_FL_DIRECT``).  ftrace lets both share a function, but
not in every order: if a program is attached to a function of a live patch in force, and then
another one, Linux 6.1 loses both.  The old function runs, though the core says that the live patch
is in force, and the list no longer has the function.

The list is part of tracefs, which is mounted where somebody asked for it; systemd and debugfs do.
Without it nothing is known of such programs, and `look` returns that it is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from suture.core import kallsyms, modules
from suture.core.patches import LoadedPatch
from suture.core.running import ROOT, lockdown, text
from suture.model import VMLINUX

ENABLED_FUNCTIONS = "sys/kernel/tracing/enabled_functions"

_OLD_PLACE = "sys/kernel/debug/tracing/enabled_functions"
"""Where debugfs mounts tracefs by itself (kernel/trace/trace.c: trace_automount())."""

_UNMOUNTED = "tracefs is not mounted; 'mount -t tracefs nodev /sys/kernel/tracing' mounts it"
_LOCKED_DOWN = "the kernel is locked down, and shows tracefs to nobody (lockdown=confidentiality)"
_ROOT_ONLY = "only root can read /sys/kernel/tracing/enabled_functions"
_HIDDEN = "the kernel hides addresses; 'sysctl kernel.kptr_restrict=1' shows them to root"

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


@dataclass(frozen=True, slots=True)
class FtraceView:
    """What ftrace's list shows of live patches.

    :ivar hindrances: functions that the old code runs for, or that BPF programs are attached to.
    :ivar unseen: why there may be more, and how to make them visible; "" where all can be seen.
    """

    hindrances: tuple[Hindrance, ...] = ()
    unseen: str = ""


Uses = Mapping[tuple[str, str], FtraceUse]
"""Object and function -> what ftrace does with it."""


def unreadable(root: Path = ROOT) -> str:
    """Return why ftrace's list cannot be read and how to make it readable; "" where it can be.

    ``kernel/trace/ftrace.c: ftrace_enabled_open()`` asks the lockdown; the directory is root's.
    """
    error = _error_of(root / ENABLED_FUNCTIONS)
    if error is None or _error_of(root / _OLD_PLACE) is None:
        return ""
    if isinstance(error, FileNotFoundError):
        return _UNMOUNTED
    if isinstance(error, PermissionError):
        return _LOCKED_DOWN if lockdown(root) == "confidentiality" else _ROOT_ONLY
    return f"/{ENABLED_FUNCTIONS} cannot be read ({error.strerror})"


def _error_of(path: Path) -> OSError | None:
    try:
        path.open("rb").close()
    except OSError as error:
        return error
    return None


def uses(root: Path = ROOT) -> Uses | None:
    """Return what ftrace does with each function; None where we cannot see that (`unreadable`)."""
    if unreadable(root):
        return None
    listed = text(root / ENABLED_FUNCTIONS) or text(root / _OLD_PLACE)
    found: dict[tuple[str, str], FtraceUse] = {}
    key = None
    for line in listed.splitlines():
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


def look(patches: Iterable[LoadedPatch], root: Path = ROOT) -> FtraceView:
    """Look for the functions of live patches in force that the old code runs for, or that BPF
    programs are attached to."""
    replaced = [place for patch in patches for place in _replaced(patch, root)]
    if not replaced:
        return FtraceView()
    known = uses(root)
    if known is None:
        return FtraceView(unseen=unreadable(root))
    found: list[Hindrance] = []
    unseen = ""
    for patch_name, objname, name in replaced:
        use = _use(objname, name, known, root)
        if use is None:
            unseen = _HIDDEN
        elif use.direct or not use.is_redirected:
            found.append(Hindrance(patch_name, objname, name, use.direct, use.is_redirected))
    return FtraceView(tuple(found), unseen)


def _replaced(patch: LoadedPatch, root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the functions that a live patch in force replaces now: its name, object, function."""
    if not patch.enabled or patch.transition:
        return
    for item in patch.objects:
        is_there = item.name == VMLINUX or modules.read(item.name, root) is not None
        if is_there and item.patched is not False:
            yield from ((patch.name, item.name, function.name) for function in item.functions)


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
