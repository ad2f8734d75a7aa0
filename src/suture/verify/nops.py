# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiled code as objtool rewrites it for the shipped kernel.

With ``CONFIG_HAVE_JUMP_LABEL_HACK`` a static branch that is off is compiled as a jump, so that the
assembler chooses the short or the long form, and objtool replaces it by a no-op of the same length
(arch/x86/include/asm/jump_label.h: ``arch_static_branch()``; tools/objtool/check.c:
``handle_jump_alt()``).  Where objtool only runs at the link, the compiled object still has the
jump.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from suture.objects.view import Reference, ToAnonymous, ToUnit, Unit, View

JUMP_TABLE = "__jump_table"
MADE_NOP = 2
"""Set in the key's addend of a jump that is to become a no-op."""


def as_shipped(view: View, unit: Unit) -> tuple[bytes, list[Reference]]:
    """Return a unit's bytes, and the references in them, as objtool would leave them."""
    data, references = view.data(unit), list(view.references(unit))
    for place in _made_nops(view).get(unit.section, ()):
        if not unit.start <= place < unit.end:
            continue
        start = place - unit.start
        nop = view.obj.arch.jump_labels.made_nop(data[start:])
        if nop is not None:
            end = start + len(nop)
            data = data[:start] + nop + data[end:]
            references = [ref for ref in references if not start <= ref.offset < end]
    return data, references


@lru_cache(maxsize=8)
def _made_nops(view: View) -> Mapping[int, Sequence[int]]:
    """Map each section of code to the offsets of jumps that objtool turns into no-ops.

    A ``struct jump_entry`` refers to its code, its target and its key, in this order
    (include/linux/jump_label.h).
    """
    found: dict[int, list[int]] = {}
    for index, section in enumerate(view.obj.sections):
        if section.name != JUMP_TABLE:
            continue
        references = list(view.references_in(index, 0, section.size))
        keys = view.relocations(index, 0, section.size)[2::3]
        for code, key in zip(references[::3], keys, strict=False):
            match code.target:
                case ToUnit(unit, offset) if key.addend & MADE_NOP:
                    found.setdefault(unit.section, []).append(unit.start + offset)
                case ToAnonymous(held, offset) if key.addend & MADE_NOP:
                    found.setdefault(held, []).append(offset)
    return found
