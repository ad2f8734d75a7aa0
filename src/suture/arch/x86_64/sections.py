# SPDX-License-Identifier: GPL-2.0-or-later
"""Special sections of x86 kernels, besides the common ones."""

from __future__ import annotations

from suture.arch.sections import Alternatives, ArchSections, SpecialSection, UnwindTable
from suture.arch.x86_64.boot_constants import BOOT_CONSTANTS

ALTERNATIVES = Alternatives(
    entries=".altinstructions",
    replacements=".altinstr_replacement",
    # static_cpu_has() (arch/x86/include/asm/cpufeature.h)
    pieces=".altinstr_aux",
    # until 5.12, until 6.2, since
    lengths={13: (10, 11), 12: (10, 11), 14: (12, 13)},
)

UNWIND = UnwindTable(places=".orc_unwind_ip", entries=".orc_unwind")

SPECIAL = (
    # arch/x86/include/asm/alternative.h; the replacement's own references are copied into the code
    # at load
    SpecialSection(ALTERNATIVES.entries, struct="alt_instr", reads_early=True, alias="ALT"),
    # arch/x86/include/asm/paravirt_types.h (until 6.8); in older kernels nothing fills the last one
    SpecialSection(".parainstructions", struct="paravirt_patch_site", aligned=8, alias="PARA"),
    # arch/x86/include/asm/alternative.h: LOCK_PREFIX_HERE, one s32 each
    SpecialSection(".smp_locks", size=4),
    # tools/objtool/check.c: create_return_sites_sections(), create_retpoline_sites_sections(), ...:
    # one s32 each
    SpecialSection(".return_sites", size=4),
    SpecialSection(".retpoline_sites", size=4),
    SpecialSection(".call_sites", size=4),
    SpecialSection(".ibt_endbr_seal", size=4),
    # tools/objtool/orc_gen.c: .orc_unwind runs parallel to it
    SpecialSection(UNWIND.places, size=4),
)

HINTS = frozenset(
    f".discard.{name}"
    for name in (
        "noendbr",  # include/linux/objtool.h
        # arch/x86/include/asm/nospec-branch.h, alternative.h, ibt.h
        "retpoline_safe",
        "ignore_alts",
        "ibt_endbr_noseal",
    )
)

OUTLINED = {
    ALTERNATIVES.pieces: False,
    # arch/x86/include/asm/uaccess.h until 5.15: what runs where an access to user space fails
    ".fixup": True,
    # arch/x86/include/asm/refcount.h until 5.4: what runs where a reference count overflows
    ".text..refcount": False,
}

SECTIONS = ArchSections(
    SPECIAL,
    HINTS,
    ALTERNATIVES,
    UNWIND,
    carried_along=frozenset(
        {UNWIND.entries, ".orc_header", ALTERNATIVES.replacements, ALTERNATIVES.pieces, *OUTLINED}
    ),
    outlined=OUTLINED,
    boot_tables=(".x86_cpu_dev.init", ".x86_intel_mid_dev.init", ".apicdrivers"),
    no_pointers=(".orc_",),
    boot_constants=BOOT_CONSTANTS,
)
