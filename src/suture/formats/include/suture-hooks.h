/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a patch tells the build something beside its code: a pointer in a section of its own, which is read from the
 * object file (suture/diff/hooks.py) and goes no further.
 */
#ifndef SUTURE_HOOKS_H
#define SUTURE_HOOKS_H

#include <linux/compiler.h>
#include <linux/livepatch.h>

/*
 * The type is what makes the compiler check a function's arguments.  Left to itself, GCC would write several of a file
 * in any order.
 */
#define SUTURE_TELL(section, type, what) \
	static type const __used __section(section) __attribute__((no_reorder)) __UNIQUE_ID(suture_hook) = (what);

/*
 * A shadow variable's number from a name: 64 bits of FNV-1a.  It is the same in a live patch that replaces this one, so
 * that it finds what this one has attached.  Loops of a known length are what GCC works out for a literal: the number
 * stands in the code, and can be read there (suture/link/shadows.py).
 */
static __always_inline unsigned long suture_shadow_id(const char *camp, const char *name)
{
	unsigned long id = 0xcbf29ce484222325UL;
	unsigned int at;

#pragma GCC unroll 9
	for (at = 0; at < 9; at++) {
		if (!camp[at])
			break;
		id = (id ^ (unsigned char)camp[at]) * 0x100000001b3UL;
	}
#pragma GCC unroll 65
	for (at = 0; at < 65; at++) {
		if (!name[at])
			return id;
		id = (id ^ (unsigned char)name[at]) * 0x100000001b3UL;
	}
	for (; name[at]; at++)
		id = (id ^ (unsigned char)name[at]) * 0x100000001b3UL;
	return id;
}

#endif
