# SPDX-License-Identifier: GPL-2.0-or-later
"""Each row of the table of special sections: an entry goes along with the function it is about, and
no other does."""

from __future__ import annotations

from collections import Counter

import pytest

from suture import arch
from suture.arch.sections import SpecialSection
from suture.elf import writer
from suture.elf.object import ObjectFile
from suture.errors import Refusal
from suture.objects.special import sections
from tests.unit.toolchain import (
    MACHINE,
    SIZES,
    changed_names,
    changes,
    compile_c,
    output,
    relocation_lines,
    section_lines,
    tool,
)

SPECIAL = tuple(sections(arch.of(MACHINE)).values())

FIELDS = {
    # arch/x86/include/asm/alternative.h: struct alt_instr of 6.1
    ".altinstructions": ".long {at} - .\n.long 7f - .\n.word 5\n.byte 1\n.byte 1\n"
    '.pushsection .altinstr_replacement,\\"ax\\"\n7: nop\n.popsection',
    # include/asm-generic/bug.h, arch/x86/include/asm/extable.h
    "__bug_table": ".long {at} - .\n.long 0\n.word 12\n.word 0",
    "__ex_table": ".long {at} - .\n.long {at} + 1 - .\n.long 3",
    # include/linux/jump_label.h, include/linux/static_call_types.h
    "__jump_table": ".long {at} - .\n.long {at} + 1 - .\n.quad key - .",
    ".static_call_sites": ".long {at} - .\n.long key - .",
    # arch/x86/include/asm/paravirt_types.h: struct paravirt_patch_site
    ".parainstructions": ".quad {at}\n.byte 3\n.byte 7\n.zero 6",
}
"""What an entry looks like where it is not one place alone."""

SOURCE = """
extern int outside(int);
extern int key;
#define AT asm volatile("1: nop\\n.pushsection {section},\\"a\\"\\n{entry}\\n.popsection")
int work(int x) {{ AT; return outside(x) + 1; }}
int idle(int x) {{ AT; return outside(x) - 1; }}
"""

MADE_BY_THE_COMPILER = {
    "__mcount_loc": (),
    "__patchable_function_entries": ("-fpatchable-function-entry=2",),
}


def entry_size(special: SpecialSection) -> int:
    return special.size or SIZES[special.name]


def sizes(obj: bytes | ObjectFile) -> Counter[str]:
    """Bytes by the name of a section: GCC from 13 on makes one
    ``__patchable_function_entries`` for each section of code."""
    found: Counter[str] = Counter()
    for name, _, size, _ in section_lines(obj):
        found[name] += size
    return found


def source(special: SpecialSection) -> tuple[str, tuple[str, ...]]:
    """C with an entry about each of two functions, and the options to compile it with."""
    if special.name in MADE_BY_THE_COMPILER:
        section, entry = ".discard.unused", ""
        return SOURCE.format(section=section, entry=entry), MADE_BY_THE_COMPILER[special.name]
    place = ".quad {at}" if special.size == 8 else ".long {at} - ."
    entry = FIELDS.get(special.name, place).format(at="1b").replace("\n", "\\n")
    text = SOURCE.format(section=special.name, entry=entry)
    if special.name == ".orc_unwind_ip":  # one struct orc_entry for each, in the same order
        orc = '\\n.pushsection .orc_unwind,\\"a\\"\\n.zero 6\\n.popsection")\n'
        text = text.replace('\\n.popsection")\n', f"\\n.popsection{orc}", 1)
    return text, ()


@pytest.mark.parametrize("special", SPECIAL, ids=[special.name for special in SPECIAL])
def test_an_entry_goes_with_its_function_alone(special: SpecialSection) -> None:
    text, options = source(special)
    assert sizes(compile_c(text, *options))[special.name] == 2 * entry_size(special)
    patched = text.replace("+ 1;", "+ 2;")
    assert changed_names(changes(text, patched, *options)) == {"work"}
    out = output(text, patched, *options).obj
    assert sizes(out)[special.name] == entry_size(special)
    place = relocation_lines(out, special.name)[0]
    assert place.split()[0] == "0"
    assert ".text.work" in place or "work +" in place
    assert "idle" not in tool("readelf", "-rW", data=writer.write(out))


@pytest.mark.parametrize("special", SPECIAL, ids=[special.name for special in SPECIAL])
def test_a_size_that_is_no_multiple_of_an_entry_is_refused(special: SpecialSection) -> None:
    text, options = source(special)
    odd = f'{text}asm(".pushsection {special.name},\\"a\\"\\n.byte 1\\n.popsection");\n'
    with pytest.raises(Refusal) as refused:
        changes(odd, odd.replace("+ 1;", "+ 2;"), *options)
    assert refused.value.code == "entry-malformed"
