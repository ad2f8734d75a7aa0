# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that compilers and macros make: which belong to one function's code alone, and what a name
was before.

A static variable of the original is shared with the patched code, for it holds the kernel's state.
The ones in `PRIVATE` hold none that matters to other code: they are told apart by content only and
copied with the code that uses them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PRIVATE: Mapping[str, str] = {
    "__func__": "the function's own name (C11 6.4.2.2)",
    "__FUNCTION__": "the same (GCC)",
    "__PRETTY_FUNCTION__": "the same (GCC)",
    "__already_done": "WARN_ONCE and friends: whether it was said (include/linux/once_lite.h)",
    "__warned": "the same until 5.14 (include/asm-generic/bug.h)",
    "__key": "lockdep's key for a lock set up here (include/linux/lockdep_types.h); empty without lockdep",
    "_rs": "ratelimit state of one message (include/linux/ratelimit.h)",
    "__msg": "netlink extended ack text (include/linux/netlink.h: NL_SET_ERR_MSG)",
    "CSWTCH": "values of a switch that became a table (GCC tree-switch-conversion)",
    "__compound_literal": "an unnamed constant (GCC)",
    "C": "an unnamed constant aggregate (GCC)",
    "descriptor": "dynamic debug call site (include/linux/dynamic_debug.h)",
    "__UNIQUE_ID_ddebug": "the same since 5.0",
    "_entry": "printk index entry (include/linux/printk.h)",
    "_entry_ptr": "pointer to it",
}

CONSTANT = {
    "__func__",
    "__FUNCTION__",
    "__PRETTY_FUNCTION__",
    "__msg",
    "CSWTCH",
    "__compound_literal",
    "C",
    "_entry",
}
"""These are private only where they cannot be written: an unnamed variable has state as any
other."""

IN_SECTION: Mapping[str, str] = {"descriptor": "__dyndbg", "__UNIQUE_ID_ddebug": "__dyndbg"}
"""These are private only in the section that the macro puts them into: an author may use the name
too."""

DATA = (
    *(".data", ".bss", ".rodata", ".sbss", "__read_mostly"),
    # include/linux/init.h: __refdata, __meminitdata; where memory can be hot-plugged, they stay
    *(".ref.data", ".ref.rodata", ".meminit.data", ".meminit.rodata"),
)
"""Sections in which a new variable is a variable and nothing more."""

# foo.123 (static local), foo.isra.0.cold (optimised clones), foo.llvm.123, C.0.12
_NUMBERED = re.compile(r"(\.(?:\d+|isra|constprop|part|cold|llvm|lto_priv))+$")
_UNIQUE_ID = re.compile(r"^(__UNIQUE_ID_.*?)\d+$")


def base(name: str) -> str:
    """The name as the author wrote it, without what the compiler or ``__UNIQUE_ID`` added."""
    written = _NUMBERED.sub("", name)  # first: a __UNIQUE_ID may be a static local
    unique = _UNIQUE_ID.match(written)
    return unique.group(1) if unique else written


def is_numbered(name: str) -> bool:
    """The compiler chose part of the name, so that equal names in two objects need not mean equal
    things."""
    return base(name) != name


def is_private(name: str, section: str, writable: bool) -> bool:
    """See `PRIVATE`.

    :param section: where the variable is; `writable` if that section is.
    """
    written = base(name)
    if written not in PRIVATE or (written in ("C", "_rs", "descriptor") and not is_numbered(name)):
        return False
    return not (written in CONSTANT and writable) and section.startswith(
        IN_SECTION.get(written, "")
    )


def is_cold(name: str) -> bool:
    """The unlikely part of a function that the compiler moved away
    (``-freorder-blocks-and-partition``)."""
    return name.endswith(".cold")


def parent(name: str) -> str:
    """The function that a ``.cold`` part belongs to."""
    return name.removesuffix(".cold")
