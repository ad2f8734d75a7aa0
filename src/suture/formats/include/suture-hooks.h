/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Information for the build besides a patch's code: a pointer in a separate section, which Suture reads from the object
 * file (suture/diff/hooks.py) and leaves out of the module.
 */
#ifndef SUTURE_HOOKS_H
#define SUTURE_HOOKS_H

#include <linux/compiler.h>
#include <linux/livepatch.h>

/*
 * The type makes the compiler check a function's arguments.  Without no_reorder, GCC would emit several entries of one
 * file in any order.
 */
#define SUTURE_TELL(section, type, what) \
	static type const __used __section(section) __attribute__((no_reorder)) __UNIQUE_ID(suture_hook) = (what);

/*
 * Makes a shadow variable's number from its name: 64 bits of FNV-1a.  A live patch that replaces this one computes the
 * same number, and so finds what this one has attached.  For a literal, GCC evaluates loops of a known length at compile
 * time: the number is a constant in the code, where suture/link/shadows.py reads it.
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
