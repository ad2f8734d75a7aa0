# SPDX-License-Identifier: GPL-2.0-or-later
"""Static branches of x86 (``arch/x86/include/asm/jump_label.h``)."""

from __future__ import annotations

from collections.abc import Mapping

from suture.arch.jump_labels import JumpLabels

NOPS: Mapping[int, tuple[int, bytes]] = {
    0xEB: (2, bytes.fromhex("6690")),
    0xE9: (5, bytes.fromhex("0f1f440000")),
}
"""First byte of a jump -> its size, and the no-op of that size (arch/x86/include/asm/nops.h:
BYTES_NOP2, BYTES_NOP5)."""

_BEFORE = b"""\
#define arch_static_branch suture_static_branch
#define arch_static_branch_jump suture_static_branch_jump
#line 1
"""

_AFTER = rb"""
#undef arch_static_branch
#undef arch_static_branch_jump
#if !defined(__ASSEMBLER__) && !defined(SUTURE_STATIC_BRANCH)
/*
 * jump_label_type(): the branch is taken if "enabled" is not "branch".  static_key_count(): any
 * number but 0 is enabled, -1 too.  The flags are not saved: GCC for x86 assumes that every asm
 * changes them.
 */
#define SUTURE_STATIC_BRANCH(name)							\
static __always_inline bool name(struct static_key * const key, const bool branch)	\
{											\
	_Static_assert(__builtin_offsetof(struct static_key, enabled) == 0, "first");	\
	asm goto("cmpl $0, %c0(%%rip)\n\t"						\
		".if %c1\n\t"								\
		"je %l[l_yes]\n\t"							\
		".else\n\t"								\
		"jne %l[l_yes]\n\t"							\
		".endif\n\t"								\
		"\n\t"									\
		: : "i" (key), "i" (branch) : : l_yes);					\
	return false;									\
l_yes:											\
	return true;									\
}
SUTURE_STATIC_BRANCH(arch_static_branch)
SUTURE_STATIC_BRANCH(arch_static_branch_jump)
#endif
"""


def _reading_keys(header: bytes) -> bytes:
    return _BEFORE + header + _AFTER


def _reads_key(compare: bytes, jump: bytes) -> bool | None:
    """Whether ``cmpl $0, key(%rip)`` and a ``jne`` or ``je``, short or long, jump for a key that is
    not 0; None for other instructions."""
    if compare[:2] != b"\x83\x3d" or compare[6:] != b"\0":
        return None
    if jump[:1] == b"\x75" or jump[:2] == b"\x0f\x85":
        return True
    return False if jump[:1] == b"\x74" or jump[:2] == b"\x0f\x84" else None


def _made_nop(code: bytes) -> bytes | None:
    size, nop = NOPS.get(code[0], (0, b"")) if code else (0, b"")
    return nop if 0 < size <= len(code) else None


JUMP_LABELS = JumpLabels(
    header="arch/x86/include/asm/jump_label.h",
    reading_keys=_reading_keys,
    reads_key=_reads_key,
    made_nop=_made_nop,
)
