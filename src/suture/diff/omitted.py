# SPDX-License-Identifier: GPL-2.0-or-later
"""Parts of a patch that a live patch leaves out because they could not take effect, or need not.

A fix often changes an ``__init`` function beside the code that it repairs.  That function has run;
leaving it out does not change what the rest of the patch does.  Each omitted part is reported with
its reason; a patch that contains nothing else is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suture.errors import (
    DATA_CHANGED,
    EXIT_FUNCTION_CHANGED,
    INIT_FUNCTION_CHANGED,
    NO_CODE_CHANGE,
    Kind,
    Refusal,
)
from suture.model import VMLINUX


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a part is left out.

    :ivar kind: the refusal of a patch that changes nothing else.
    :ivar core: the reason for the core kernel; `module`: for a module, which may be loaded after
        the live patch.
    """

    kind: Kind
    core: str
    module: str

    def text(self, objname: str) -> str:
        """Return the reason for an object."""
        return self.core if objname == VMLINUX else self.module


@dataclass(frozen=True, slots=True)
class OmittedPart:
    """A part of the patch that is left out.

    :ivar what: ``loop_init()``, ``the new parameter hw_depth``; `section`: where it is.
    """

    what: str
    section: str
    reason: Reason

    @property
    def found(self) -> str:
        """The part and its section, as a refusal says it."""
        return f"{self.what} is in {self.section}"

    def for_user(self, source: str, objname: str) -> LeftOut:
        """Return the form that users read.

        :param objname: the object that the source file belongs to.
        """
        return LeftOut(source, f"{self.what} in {self.section}", self.reason.text(objname))

    def refusal(self, source: str, objname: str, others: Sequence[str]) -> Refusal:
        """Return the refusal of a patch that changes nothing else.

        :param others: what else is left out, in words.
        """
        why = self.reason.text(objname)
        return Refusal(
            self.reason.kind, source, self.found, why=f"{why[0].upper()}{why[1:]}.", evidence=others
        )


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The form of `OmittedPart` that users read: source file, part, and reason."""

    source: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.source}: {self.what} is left out: {self.why}"


# include/linux/init.h; free_initmem() (mm/init.c), do_free_init() (kernel/module/main.c)
INIT_CODE = Reason(
    INIT_FUNCTION_CHANGED,
    "it ran once at boot, and its memory has been given back",
    "it ran when the module was loaded; where the module is loaded after the live patch, its old "
    "code runs, and calls from there lead to the new code of what is replaced",
)
# include/linux/init.h: __exit is notrace
EXIT_CODE = Reason(
    EXIT_FUNCTION_CHANGED,
    "what is built into the kernel is never unloaded, so it never runs",
    "it has no fentry call by which the kernel could redirect it; when the module is unloaded, its "
    "old code runs",
)
INIT_DATA = Reason(
    DATA_CHANGED,
    "only code that runs at boot reads it, and its memory has been given back",
    "only code that runs when the module is loaded reads it; a module loaded after the live patch "
    "has the old value",
)
EXIT_DATA = Reason(
    DATA_CHANGED,
    "what is built into the kernel is never unloaded, so nothing reads it",
    "only code that runs when the module is unloaded reads it, and that is the module's own",
)


# kpatch: KPATCH_IGNORE_FUNCTION(), KPATCH_IGNORE_SECTION()
BY_AUTHOR = Reason(NO_CODE_CHANGE, *2 * ("the patch itself says to leave it out",))


def once_only_reason(section: str, *, code: bool) -> Reason:
    """Return why a function or variable of a section that `is_once_only` accepts is left out.

    Example: ``loop_init()`` is in ``.init.text``; it ran when ``loop.ko`` was loaded, and its
    memory was given back.
    """
    if section.startswith(".exit"):
        return EXIT_CODE if code else EXIT_DATA
    return INIT_CODE if code else INIT_DATA
