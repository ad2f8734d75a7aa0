# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that compilers and macros make: which variables belong to one function's code alone, and
which name is in the source.

Patched code shares a static variable of the original, because it holds the kernel's state.  The
variables in `PRIVATE` hold no state that matters to other code: they are compared by content only,
and copied with the code that uses them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PRIVATE: Mapping[str, str] = {
    "__func__": "the function's own name (C11 6.4.2.2)",
    "__FUNCTION__": "the same (GCC)",
    "__PRETTY_FUNCTION__": "the same (GCC)",
    "__already_done": "WARN_ONCE and friends: whether it has warned (include/linux/once_lite.h)",
    "__warned": "the same until 5.14 (include/asm-generic/bug.h)",
    "__key": "lockdep's key for a lock that is set up here (include/linux/lockdep_types.h); empty "
    "without lockdep",
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
"""Names that are private only in sections that cannot be written: a writable unnamed variable has
state like any other, as in ``static struct mutex *m = &(struct mutex){}``."""

CLANG_CONSTANTS = (
    "switch.table.",  # values of a switch that became a table (llvm: SimplifyCFG)
    "reltable.",  # the same as distances (RelLookupTableConverter)
    "__const.",  # the initial value of a local aggregate (clang: CGDecl)
    ".L",  # what has no name in the source, where the assembler keeps such names
)
"""Beginnings of names that Clang gives to constants of one function's code."""

DYNDBG = ("__dyndbg", "__verbose")
"""Sections of dynamic debug call sites, now and until 5.8 (include/linux/dynamic_debug.h)."""

IN_SECTION: Mapping[str, tuple[str, ...]] = {"descriptor": DYNDBG, "__UNIQUE_ID_ddebug": DYNDBG}
"""Names that are private only in the sections of their macro: authors use ``descriptor`` for
variables of their own."""

DATA = (
    *(".data", ".bss", ".rodata", ".sbss", "__read_mostly"),
    # include/linux/init.h: __refdata, __meminitdata; where memory can be hot-plugged, they stay
    *(".ref.data", ".ref.rodata", ".meminit.data", ".meminit.rodata"),
)
"""Sections that give a new variable no meaning beyond its contents."""

_REPORT = re.compile(r"(\.data(?:\.rel(?:\.local)?)?\.\.Lubsan_(?:data|type))\d+")


def report(section: str) -> str:
    """Return the name without its number of a section with what a sanitizer is to report; "" for
    any other section.

    With ``CONFIG_UBSAN``, each place where a function might do what C leaves undefined has a
    ``.data..Lubsan_data12`` without a symbol (lib/ubsan.h: struct source_location, and more).  The
    kernel only writes into it that it has reported the place.
    """
    found = _REPORT.fullmatch(section)
    return found[1] if found else ""


# foo.123 (static local), foo.isra.0.cold (optimised clones), foo.llvm.123, C.0.12
_NUMBERED = re.compile(r"(\.(?:\d+|isra|constprop|part|cold|llvm|lto_priv))+$")
_UNIQUE_ID = re.compile(r"^(__UNIQUE_ID_.*?)_?\d+$")


def base(name: str) -> str:
    """Return the name in the source, without what the compiler or ``__UNIQUE_ID`` added.

    ``buf.9`` is ``buf``, ``jhash.constprop.0`` is ``jhash``, and ``__UNIQUE_ID_ddebug409.0`` is
    ``__UNIQUE_ID_ddebug``, as is ``__UNIQUE_ID_ddebug_409.0``, which it is called since 6.19.
    """
    written = _NUMBERED.sub("", name)  # first: a __UNIQUE_ID may be a static local
    unique = _UNIQUE_ID.match(written)
    return unique.group(1) if unique else written


def is_numbered(name: str) -> bool:
    """Whether the compiler chose part of the name, so that it may mean another thing in another
    object.

    GCC numbers static locals through a whole file: a new one before ``buf.9`` makes it ``buf.10``.
    """
    return base(name) != name


def is_private(name: str, section: str, writable: bool) -> bool:
    """Whether a variable belongs to one function's code alone (see `PRIVATE`).

    For example, ``C.12`` is GCC's unnamed constant, but crypto/streebog_generic.c has a variable
    ``static const struct streebog_uint512 C[12]``: patched code must use the kernel's, so ``C`` is
    private only with a number.

    :param section: its section; `writable`: whether that can be written.
    """
    written = base(name)
    if name.startswith(CLANG_CONSTANTS):
        return not writable
    if written not in PRIVATE or (written in ("C", "_rs", "descriptor") and not is_numbered(name)):
        return False
    return not (written in CONSTANT and writable) and section.startswith(
        IN_SECTION.get(written, "")
    )


def is_cold(name: str) -> bool:
    """Whether a name is that of the unlikely part of a function, which the compiler moved away
    (``-freorder-blocks-and-partition``), such as ``__schedule_bug.cold``."""
    return name.endswith(".cold")


def parent(name: str) -> str:
    """Return the name of the function that a ``.cold`` part belongs to."""
    return name.removesuffix(".cold")
