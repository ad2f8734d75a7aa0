# SPDX-License-Identifier: GPL-2.0-or-later
"""A patched object once more, with static branches that read their key.

A static branch is a jump that the kernel writes and takes away (``include/linux/jump_label.h``).
For code in a live patch it can do that with keys that are there when the live patch is loaded; a
key of a module may come later, or never. So the assembly text of the branch is exchanged for one
that looks at ``static_key.enabled`` each time.  Operands, labels and the number of lines, by which
GCC guesses the size, stay, so that the compiler makes the same of everything else
(`suture.diff.static_branches` checks that it did).
"""

from __future__ import annotations

from suture.workspace.compile import ObjectPair
from suture.workspace.overlay import Changed
from suture.workspace.patched import patched_objects
from suture.workspace.prepare import Workspace
from suture.workspace.store import Stored

HEADER = "arch/x86/include/asm/jump_label.h"

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
 * jump_label_type(): the branch is taken if "enabled" is not "branch".  static_key_count(): any number but 0 is
 * enabled, -1 too.  The flags need no saving: on x86, GCC takes it that every asm changes them.
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


def reading_keys(header: bytes) -> bytes:
    """`HEADER` with other ``arch_static_branch()`` and ``arch_static_branch_jump()``; assembly
    files see no change."""
    return _BEFORE + header + _AFTER


def patched_object_reading_keys(workspace: Workspace, pair: ObjectPair) -> bytes:
    """The patched object of `pair`, an ELF relocatable file, without ``__jump_table``.

    :raises Refusal: ``patch-does-not-compile``, ``disk-full``
    """
    patched = {change.path: change.new for change in pair.changes}
    header = patched.get(HEADER) or (workspace.tree / HEADER).read_bytes()
    others = [change for change in pair.changes if change.path != HEADER]
    # As an added file: its lines have no say in what the compiler makes.
    everything = [*others, Changed(HEADER, None, reading_keys(header))]
    original = Stored(pair.compilation, pair.original)
    return patched_objects(workspace, [original], everything)[pair.compilation.object].content
