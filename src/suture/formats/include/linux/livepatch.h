/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The target's own <linux/livepatch.h>, and what modules for other kernels find missing in it.
 *
 * From Linux 4.0 to 5.0 a patch was registered, then enabled, and had to be unregistered, before 4.12 also disabled, by
 * the module's exit function.  Today klp_enable_patch() does it all, and the core lets the module go only when the patch
 * is out: by the time that the exit function runs, it is disabled and unregistered.
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
 * From 4.12 to 4.15 a patch and a function could be .immediate: in force at once, with no regard to what tasks run.  The
 * core always waits, which is the safer way, and looks at nothing in the bytes that lie behind these fields anyway.
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

/* The preprocessor cannot see whether the core still has these functions. */
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

/* SUSE's way to name a symbol that is not exported: the object being patched, the symbol's object, its name. */
#ifndef KLP_RELOC_SYMBOL_POS
#define KLP_RELOC_SYMBOL_POS(_patched, _object, _name, _sympos)	\
	asm("\".klp.sym.rela." #_patched "." #_object "." #_name "," #_sympos "\"")
#define KLP_RELOC_SYMBOL(_patched, _object, _name)	KLP_RELOC_SYMBOL_POS(_patched, _object, _name, 0)
#endif

#endif /* _SUTURE_LIVEPATCH_H */
