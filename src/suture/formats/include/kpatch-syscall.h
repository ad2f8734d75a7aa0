/* SPDX-License-Identifier: GPL-2.0 */
/*
 * System calls.  The compiler may put a system call's code into a function without a fentry call, to which the entries
 * for each calling convention jump.  This inlines it into the entries, which have fentry calls, so that the core finds
 * tasks that sleep in the new code.  Everything else is the kernel's own definition.
 */
#ifndef __KPATCH_SYSCALL_H_
#define __KPATCH_SYSCALL_H_

#include <linux/syscalls.h>
#include "kpatch-macros.h"

#define KPATCH_SYSCALL_DEFINE0 SYSCALL_DEFINE0
#define KPATCH_SYSCALL_DEFINE1(name, ...) KPATCH_SYSCALL_DEFINEx(1, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE2(name, ...) KPATCH_SYSCALL_DEFINEx(2, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE3(name, ...) KPATCH_SYSCALL_DEFINEx(3, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE4(name, ...) KPATCH_SYSCALL_DEFINEx(4, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE5(name, ...) KPATCH_SYSCALL_DEFINEx(5, _##name, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINE6(name, ...) KPATCH_SYSCALL_DEFINEx(6, _##name, __VA_ARGS__)

/* The tracing metadata must be in the patched file, unchanged, to stay as it is in the running kernel. */
#define KPATCH_SYSCALL_METADATA(sname, ...) SYSCALL_METADATA(sname, __VA_ARGS__)
#define KPATCH_SYSCALL_DEFINEx(x, sname, ...)				\
	KPATCH_SYSCALL_METADATA(sname, x, __VA_ARGS__)			\
	__KPATCH_SYSCALL_DEFINEx(x, sname, __VA_ARGS__)

#define __KPATCH_SYSCALL_DEFINEx(x, name, ...)					\
	static __always_inline long __se_sys##name(__MAP(x, __SC_LONG, __VA_ARGS__));	\
	static __always_inline long __do_sys##name(__MAP(x, __SC_DECL, __VA_ARGS__));	\
	__SYSCALL_DEFINEx(x, name, __VA_ARGS__)

#endif
