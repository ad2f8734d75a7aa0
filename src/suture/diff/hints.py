# SPDX-License-Identifier: GPL-2.0-or-later
"""Sections that tell objtool about code, and that no module has when it is done.

Where objtool runs at the link of a module only, they have to go where the code goes: without ``.discard.reachable`` the
code after each WARN() would be taken for dead and get no unwind data.  Where objtool has run already they do no harm.

An entry has one relocation, to the code that it is about; objtool wants it to be against the section
(tools/objtool/check.c: ``read_retpoline_hints()`` and its likes).
"""

from __future__ import annotations

from collections.abc import Iterator

from suture.diff.view import ToAnonymous, ToUnit, View

HINTS = frozenset(
    f".discard.{name}"
    for name in (
        # include/linux/objtool.h
        "unwind_hints",
        "func_stack_frame_non_standard",
        "noendbr",
        "reachable",
        "unreachable",
        "intra_function_calls",
        "validate_unret",
        # include/linux/instrumentation.h
        "instr_begin",
        "instr_end",
        # arch/x86/include/asm/nospec-branch.h, alternative.h, ibt.h
        "retpoline_safe",
        "ignore_alts",
        "ibt_endbr_noseal",
        # include/linux/annotate.h, objtool.h since 6.14: all of them in one
        "annotate_insn",
    )
)
"""``.discard.addressable`` is not among them: it only keeps the compiler from dropping a symbol."""


def read_hints(view: View, index: int) -> Iterator[tuple[int, int, int, int]]:
    """The entries of section `index`, each from its relocation to the next.

    :return: start and end of the entry, section of code and offset in it.
    """
    size = view.obj.sections[index].size
    references = list(view.references_in(index, 0, size))
    ends = [reference.offset for reference in references[1:]] + [size]
    for reference, end in zip(references, ends, strict=True):
        match reference.target:
            case ToUnit(unit, offset) if view.section(unit).is_code:
                yield reference.offset, end, unit.section, unit.start + offset
            case ToAnonymous(section, offset) if view.obj.sections[section].is_code:
                yield reference.offset, end, section, offset
