# SPDX-License-Identifier: GPL-2.0-or-later
"""The one patch format: what a live patch replaces, whatever it was made from.

The builder constructs a `LivePatch` (``builder/assemble.py``, ``builder/author_tables.py``), and so
does ``module/inspect.py`` when it reads a module.  Every later step works with it.

The shapes follow ``include/linux/livepatch.h``: a `LivePatch` is a ``struct klp_patch``, a
`PatchedObject` a ``struct klp_object``, a `PatchedFunction` a ``struct klp_func``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

VMLINUX = "vmlinux"
"""The object name of the core kernel (``kernel/livepatch/core.c``)."""

LONGEST_DESCRIPTION = 200
"""Characters of a module's description, which modinfo(8) shows in one line."""


def is_run(objects: Collection[str], loaded: Collection[str]) -> bool:
    """Tell whether a host runs code of one of some objects.

    :param objects: `VMLINUX`, which every host runs, or modules, as the kernel spells them.
    :param loaded: the names of the host's modules in memory.
    """
    return VMLINUX in objects or any(one in loaded for one in objects)


_LIVEPATCH_SYMBOL = re.compile(r"^\.klp\.sym\.([^.]+)\.(.+),(\d+)$")


@dataclass(frozen=True, slots=True)
class PatchedFunction:
    """One replaced function (``struct klp_func``).

    :ivar old_name: the function's name in kallsyms.
    :ivar sympos: 0 if the name is unique in the object, otherwise its 1-based position among the
        symbols of that name.
    :ivar new_name: the symbol of the new code in the live patch module.
    :ivar source: the source file of the new code, with a line if known; "" if the file is not
        known.  Two equal live patches can come from different files.
    """

    old_name: str
    sympos: int
    new_name: str
    source: str = field(default="", compare=False)


class CallbackKind(StrEnum):
    """When the core calls a callback (``struct klp_callbacks``)."""

    PRE_PATCH = "pre_patch"
    POST_PATCH = "post_patch"
    PRE_UNPATCH = "pre_unpatch"
    POST_UNPATCH = "post_unpatch"


@dataclass(frozen=True, slots=True)
class Callback:
    """One callback of a patched object."""

    kind: CallbackKind
    function: str


@dataclass(frozen=True, slots=True)
class ExternalSymbol:
    """A symbol that the live patch cannot link against; the core resolves it once `objname` is
    loaded.

    Written as ``.klp.sym.<objname>.<name>,<sympos>``
    (``Documentation/livepatch/module-elf-format.rst``).
    """

    objname: str
    name: str
    sympos: int

    @classmethod
    def parse(cls, symbol: str) -> ExternalSymbol | None:
        """Parse the name of a livepatch symbol; return None for any other name."""
        parts = _LIVEPATCH_SYMBOL.match(symbol)
        return cls(parts[1], parts[2], int(parts[3])) if parts else None

    def __str__(self) -> str:
        return f".klp.sym.{self.objname}.{self.name},{self.sympos}"

    def pending(self, patched: str) -> str:
        """Return the name of an undefined symbol that `suture.link.klp.finish` turns into this one.

        :param patched: the object whose replaced functions use it.
        """
        return f"{patched}:{self}"


@dataclass(frozen=True, slots=True)
class SymbolReference:
    """A symbol that new code uses and only the core can resolve.

    :ivar objname: the patched object with which the core resolves it.
    """

    objname: str
    symbol: ExternalSymbol

    @property
    def pending_name(self) -> str:
        """The name of an undefined symbol that stands for it until `suture.link.klp.finish`."""
        return f"{self.objname}:{self.symbol}"


@dataclass(frozen=True, slots=True)
class ShadowVariable:
    """Data that the live patch attaches to objects of the kernel (``kernel/livepatch/shadow.c``).

    :ivar id: the number by which other live patches find it; None if the code computes it at run
        time.
    """

    id: int | None

    @classmethod
    def parse(cls, text: str) -> ShadowVariable | None:
        """Parse the result of `str`; return None for any other text."""
        if text == "?":
            return cls(None)
        return cls(int(text, 16)) if re.fullmatch("0x[0-9a-f]{1,16}", text) else None

    def __str__(self) -> str:
        return "?" if self.id is None else f"{self.id:#x}"


@dataclass(frozen=True, slots=True)
class PatchedObject:
    """The replaced functions and callbacks of one object, `VMLINUX` or a module (``struct
    klp_object``)."""

    name: str
    functions: tuple[PatchedFunction, ...]
    callbacks: tuple[Callback, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedFinding:
    """A danger, warning or question about a live patch, as its module records it.

    :ivar level: ``refuse``, ``warn`` or ``note`` (`suture.errors.Level`).
    :ivar name: the type, variable or function that it is about.
    :ivar because: why the author accepted it; "" for what needs no acceptance.
    """

    level: str
    code: str
    name: str
    found: str
    because: str = ""

    def __str__(self) -> str:
        ending = f" (accepted: {self.because})" if self.because else ""
        return f"{self.level} {self.code}: {self.found}{ending}"


@dataclass(frozen=True, slots=True)
class Fix:
    """One change that a live patch brings, as its author described it.

    :ivar author: ``Name <address>``.
    :ivar date: ISO 8601, with the author's time zone.
    :ivar commit: the commit upstream, or the one that the patch was made from; hexadecimal.
    :ivar cves: such as ``CVE-2024-1086``.
    :ivar links: web addresses, as ``Link:`` and ``Closes:`` give them.
    :ivar fixes: the commits that brought the error, as ``Fixes:`` names them.
    """

    title: str
    author: str = ""
    date: str = ""
    commit: str = ""
    cves: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()

    def __str__(self) -> str:
        unnamed = [cve for cve in self.cves if cve not in self.title]
        return f"{self.title} ({', '.join(unnamed)})" if unnamed else self.title


@dataclass(frozen=True, slots=True)
class UpdateFix:
    """A fix of a newer version, for CVE numbers.

    :ivar objects: what it is in: `VMLINUX` or modules, as the kernel spells them.
    :ivar lacks: why the live patch does not have all of it: the code of a refusal, or another word;
        "" where it has.
    """

    cves: tuple[str, ...]
    objects: tuple[str, ...]
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class Update:
    """The newer version of a kernel's source that a live patch has parts of.

    :ivar old: the version of the kernel's packages; `new`: the newer one.
    :ivar fixes: those with CVE numbers, and with files that the kernel is built from.
    """

    old: str
    new: str
    fixes: tuple[UpdateFix, ...]

    def __str__(self) -> str:
        lacking = {cve for fix in self.fixes if fix.lacks for cve in fix.cves}
        had = {cve for fix in self.fixes if not fix.lacks for cve in fix.cves} - lacking
        return (
            f"of {self.old}..{self.new} it has {len(had)} CVE fixes, and lacks {len(lacking)} that "
            "may be in code of its kernel"
        )


@dataclass(frozen=True, slots=True)
class LivePatch:
    """A whole live patch (``struct klp_patch``).

    :ivar replace: atomically replaces every live patch loaded before it.
    :ivar shadow_variables: the shadow variables that its code uses.
    :ivar references: without duplicates, sorted.
    :ivar findings: what was found about it when it was built, and accepted or shown.
    :ivar stays: why it stays in memory until the reboot (`suture.diff.escapes`); empty for one that
        can be unloaded.
    :ivar fixes: what it is for, in the order in which its parts apply.
    :ivar update: the newer version whose fixes these are (``suture fixes --build``).
    """

    name: str
    objects: tuple[PatchedObject, ...]
    replace: bool = True
    shadow_variables: tuple[ShadowVariable, ...] = ()
    references: tuple[SymbolReference, ...] = ()
    findings: tuple[RecordedFinding, ...] = ()
    stays: tuple[str, ...] = field(default=(), compare=False)
    fixes: tuple[Fix, ...] = field(default=(), compare=False)
    update: Update | None = field(default=None, compare=False)

    @property
    def description(self) -> str:
        """What it is for, in one line; "" where that is not known."""
        if not self.fixes:
            return ""
        more = f"; and {len(self.fixes) - 1} more" if len(self.fixes) > 1 else ""
        title, room = self.fixes[0].title, LONGEST_DESCRIPTION - len(more)
        return (title if len(title) <= room else f"{title[: room - 3].rstrip()}...") + more

    def each_function(self) -> Iterator[tuple[str, PatchedFunction]]:
        """Yield every replaced function, with the name of its object."""
        for patched in self.objects:
            for function in patched.functions:
                yield patched.name, function
