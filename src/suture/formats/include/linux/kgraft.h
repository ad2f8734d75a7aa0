/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kGraft's interface on the kernel's own livepatch core, for modules written for kGraft.
 *
 * Suture reads the tables from the compiled module, generates the core's tables from them, and defines
 * kgr_patch_kernel(), which passes those to klp_enable_patch().  The layout is therefore Suture's own
 * (src/suture/link/kgraft.py); names and meaning are kGraft's, in all its spellings:
 *
 *	KGR_PATCHED_FUNCTION(patch, name, new);		and then KGR_PATCH(name), kgr_start_patching(&patch)
 *	KGR_PATCHED_FUNCTION(name, new, abort);
 *	KGR_PATCH(name, new) or KGR_PATCH(name, new, abort)	kgr_patch_kernel(&patch)
 *	KGR_PATCH_OBJ(name, new, object), KGR_PATCH_OBJPOS(name, new, object, sympos)
 */
#ifndef _LINUX_KGRAFT_H
#define _LINUX_KGRAFT_H

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/types.h>

#define KGR_MARK	0x315f7274666172UL
#define KGR_MARK_END	0x325f7274666172UL

/**
 * struct kgr_patch_fun - one replaced function
 * @mark: KGR_MARK, or KGR_MARK_END at the end of a table
 * @name: the function to replace
 * @new_fun: its replacement
 * @objname: the module that contains it; NULL for the core kernel
 * @sympos: its position among the symbols of its name in that object, from 1; 0 if the name is unique
 * @defined: the definition made by KGR_PATCHED_FUNCTION()
 * @abort_if_missing: do not apply the patch without it
 */
struct kgr_patch_fun {
	unsigned long mark;
	const char *name;
	void *new_fun;
	const char *objname;
	unsigned long sympos;
	const struct kgr_patch_fun *defined;
	bool abort_if_missing;
};

/**
 * struct kgr_patch - a patch
 * @name: the author's name for it
 * @owner: THIS_MODULE
 * @replace_all: applying it removes all earlier patches
 * @immediate: apply it without waiting for tasks; the livepatch core always waits, which is safer
 * @patches: the functions, terminated by KGR_PATCH_END
 */
struct kgr_patch {
	const char *name;
	struct module *owner;
	bool replace_all;
	bool immediate;
	struct kgr_patch_fun patches[];
};

#define KGR_PATCH_OBJPOS(_name, _new, _objname, _sympos) {	\
		.mark = KGR_MARK,				\
		.name = #_name,					\
		.new_fun = _new,				\
		.objname = _objname,				\
		.sympos = _sympos,				\
		.abort_if_missing = true,			\
	}
#define KGR_PATCH_OBJ(_name, _new, _objname)	KGR_PATCH_OBJPOS(_name, _new, _objname, 0)
#define KGR_PATCH(...)	__KGR_CHOOSE(__KGR_PATCH, __KGR_COUNT(__VA_ARGS__))(__VA_ARGS__)
#define KGR_PATCH_END	{ .mark = KGR_MARK_END }

#define KGR_PATCHED_FUNCTION(...)	__KGR_CHOOSE(__KGR_PATCHED, __KGR_COUNT(__VA_ARGS__))(__VA_ARGS__)

#define __KGR_PATCH1(_name)			{ .mark = KGR_MARK, .defined = &__kgr_patch_ ## _name }
#define __KGR_PATCH2(_name, _new)		__KGR_PATCH3(_name, _new, true)
#define __KGR_PATCH3(_name, _new, _abort) {	\
		.mark = KGR_MARK,		\
		.name = #_name,			\
		.new_fun = _new,		\
		.abort_if_missing = _abort,	\
	}

#define __KGR_DEFINE(_name, _new, _abort)	\
	static const struct kgr_patch_fun __used __kgr_patch_ ## _name = __KGR_PATCH3(_name, _new, _abort)
#define __KGR_PATCHED2(_name, _new)		__KGR_DEFINE(_name, _new, true)
/* Either (name, new, abort) or (patch, name, new), depending on the last argument. */
#define __KGR_PATCHED3(_1, _2, _3)		__KGR_CHOOSE(__KGR_PATCHED3_, __KGR_IS_BOOL(_3))(_1, _2, _3)
#define __KGR_PATCHED3_0(_patch, _name, _new)	__KGR_DEFINE(_name, _new, true)
#define __KGR_PATCHED3_1(_name, _new, _abort)	__KGR_DEFINE(_name, _new, _abort)
#define __KGR_PATCHED4(_patch, _name, _new, _abort)	__KGR_DEFINE(_name, _new, _abort)

#define __KGR_COUNT(...)			__KGR_FIFTH(__VA_ARGS__, 4, 3, 2, 1)
#define __KGR_FIFTH(_1, _2, _3, _4, _5, ...)	_5
#define __KGR_CHOOSE(_name, _number)		__KGR_JOIN(_name, _number)
#define __KGR_JOIN(_name, _number)		_name ## _number
#define __KGR_IS_BOOL(_word)			__KGR_SECOND(__KGR_BOOL_ ## _word, 0, 0)
#define __KGR_SECOND(...)			__KGR_SECOND_(__VA_ARGS__)
#define __KGR_SECOND_(_1, _2, ...)		_2
#define __KGR_BOOL_true				, 1
#define __KGR_BOOL_false			, 1
#define __KGR_BOOL_1				, 1
#define __KGR_BOOL_0				, 1

/* Suture defines this for the tables that it has read. */
int kgr_patch_kernel(struct kgr_patch *patch);

static inline int kgr_start_patching(const struct kgr_patch *patch)
{
	return kgr_patch_kernel((struct kgr_patch *)patch);
}

/* The module's exit function runs after the patch is out of force and every task has left the new code. */
static inline void kgr_patch_remove(struct kgr_patch *patch)
{
}

/* In kGraft, kernel threads called this where they could switch; the livepatch core checks their stacks. */
static inline void kgr_task_safe(struct task_struct *task)
{
}

#endif /* _LINUX_KGRAFT_H */
