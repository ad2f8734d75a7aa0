# SPDX-License-Identifier: GPL-2.0-or-later
"""How a host stands to the fixes of a list: whether it runs the code, and whether a live patch has
the fix."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from suture.core import running
from suture.core.fixed import in_force
from suture.core.status import Status
from suture.errors import MODULE_LIST_UNKNOWN, Refusal
from suture.fixes.listing import FixList, ListedFix
from suture.host.files import read_bytes
from suture.model import is_run

_MODULE_NAME = re.compile(r"[A-Za-z0-9_-]{1,56}")
"""``include/linux/moduleparam.h: MODULE_NAME_LEN``, the null not counted."""

_HEADING = "Module"
"""The first word of what lsmod(8) prints."""


@dataclass(frozen=True, slots=True)
class FixStanding:
    """One fix and the host.

    :ivar objects: the objnames of the kernel that it may be in; empty where none is known.
    :ivar runs: whether the host runs one of these; None where that is not known.
    :ivar in_force: the live patch in force that says it is for this fix, or "".
    """

    fix: ListedFix
    objects: tuple[str, ...]
    runs: bool | None
    in_force: str = ""


def standings(
    found: FixList, loaded: frozenset[str] | None, status: Status | None = None
) -> tuple[FixStanding, ...]:
    """Return how a host stands to each fix of a list.

    :param loaded: the names of its modules in memory; None where they are not known.
    :param status: of the host, if it runs the kernel of the list.
    """
    by_title, by_cve = _named_in_force(status)
    result = []
    for fix in found.fixes:
        objects = found.objects_of(fix)
        patch = by_title.get(fix.title) or _patch_of_all(fix.cves, by_cve)
        result.append(FixStanding(fix, objects, _runs(fix, objects, loaded), patch))
    return tuple(result)


def modules_here() -> frozenset[str]:
    """Return the names of the modules that are loaded on this host."""
    return frozenset(_names(running.text(running.ROOT / "proc/modules").splitlines(), "here"))


def modules_of(path: Path) -> frozenset[str]:
    """Return the names of the modules of a file: ``/proc/modules`` or what lsmod(8) prints, of
    another host, or a name in each line.

    :raises Refusal: ``file-unreadable``, ``module-list-unknown``
    """
    lines = read_bytes(path).decode(errors="replace").splitlines()
    return frozenset(_names(lines, str(path)))


def _names(lines: Iterable[str], where: str) -> Iterable[str]:
    for number, line in enumerate(lines, 1):
        word, *_ = [*line.split(), ""]
        if word and not _MODULE_NAME.fullmatch(word):
            raise Refusal(MODULE_LIST_UNKNOWN, f"{where}:{number}", f"begins with {word[:60]!r}")
        if word and word != _HEADING:
            yield word.replace("-", "_")


def _runs(fix: ListedFix, objects: tuple[str, ...], loaded: frozenset[str] | None) -> bool | None:
    if loaded is None or not fix.files:
        return None
    return is_run(objects, loaded)


def _named_in_force(status: Status | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return title -> live patch and CVE number -> live patch, of those in force."""
    by_title: dict[str, str] = {}
    by_cve: dict[str, str] = {}
    for item in in_force(status) if status else ():
        for fix in item.fixes:
            by_title[" ".join(fix.title.split())] = item.patch.name
            by_cve |= dict.fromkeys(fix.cves, item.patch.name)
    return by_title, by_cve


def _patch_of_all(cves: tuple[str, ...], by_cve: dict[str, str]) -> str:
    """Return the live patch that names a fix by all of its CVE numbers, or ""."""
    patches = [by_cve.get(cve, "") for cve in cves]
    return patches[0] if patches and all(patches) else ""
