/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The target's own <linux/livepatch.h>, with additions that modules for other kernels need.
 *
 * From Linux 4.0 to 5.0, a module registered and then enabled its patch, and its exit function unregistered it (before
 * 4.12, also disabled it).  Today klp_enable_patch() does everything, and the core releases the module only when the
 * patch is out of force: when the exit function runs, it is already disabled and unregistered.
 */
#ifndef _SUTURE_LIVEPATCH_H
#include <linux/module.h>
#include <linux/ftrace.h>
#include <linux/completion.h>
#include <linux/list.h>
#if __has_include(<linux/livepatch_sched.h>)
#include <linux/livepatch_sched.h>
#endif
/*
 * From 4.12 to 4.15, a patch and a function could be .immediate: in force at once, whatever tasks were running.  Today's
 * core always waits, which is safer, and does not read the bytes behind these fields.
 */
#define replace replace; bool immediate
#define transition transition; bool immediate
#endif

#include_next <linux/livepatch.h>

#ifndef _SUTURE_LIVEPATCH_H
#undef replace
#undef transition
#define _SUTURE_LIVEPATCH_H

#include <linux/errno.h>
#include <linux/version.h>

/* The preprocessor cannot check whether the core still has these functions. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 1, 0)
static inline int klp_register_patch(struct klp_patch *patch)
{
	return 0;
}

static inline int klp_unregister_patch(struct klp_patch *patch)
{
	return patch->enabled ? -EBUSY : 0;
}

static inline int klp_disable_patch(struct klp_patch *patch)
{
	return patch->enabled ? -EBUSY : 0;
}
#endif

/* SUSE's names for symbols that are not exported: the object being patched, the symbol's object, the name. */
#ifndef KLP_RELOC_SYMBOL_POS
#define KLP_RELOC_SYMBOL_POS(_patched, _object, _name, _sympos)	\
	asm("\".klp.sym.rela." #_patched "." #_object "." #_name "," #_sympos "\"")
#define KLP_RELOC_SYMBOL(_patched, _object, _name)	KLP_RELOC_SYMBOL_POS(_patched, _object, _name, 0)
#endif

#endif /* _SUTURE_LIVEPATCH_H */
