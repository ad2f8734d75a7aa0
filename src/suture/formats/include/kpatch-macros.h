/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of kpatch's header of this name that patch authors use, for the kernel's own livepatch core. */
#ifndef __KPATCH_MACROS_H_
#define __KPATCH_MACROS_H_

#include <linux/bug.h>
#include <linux/printk.h>
#include <linux/static_call.h>
#include "suture-hooks.h"

/* The argument of callbacks: .name is NULL for the core kernel, and .mod is the module. */
typedef struct klp_object patch_object;

typedef int (*kpatch_pre_patch_call_t)(patch_object *obj);
typedef void (*kpatch_post_patch_call_t)(patch_object *obj);
typedef void (*kpatch_pre_unpatch_call_t)(patch_object *obj);
typedef void (*kpatch_post_unpatch_call_t)(patch_object *obj);
typedef void (*kpatch_loadcall_t)(void);
typedef void (*kpatch_unloadcall_t)(void);

#define KPATCH_PRE_PATCH_CALLBACK(fn) SUTURE_TELL(".kpatch.callbacks.pre_patch", kpatch_pre_patch_call_t, fn)
#define KPATCH_POST_PATCH_CALLBACK(fn) SUTURE_TELL(".kpatch.callbacks.post_patch", kpatch_post_patch_call_t, fn)
#define KPATCH_PRE_UNPATCH_CALLBACK(fn) SUTURE_TELL(".kpatch.callbacks.pre_unpatch", kpatch_pre_unpatch_call_t, fn)
#define KPATCH_POST_UNPATCH_CALLBACK(fn) SUTURE_TELL(".kpatch.callbacks.post_unpatch", kpatch_post_unpatch_call_t, fn)

/* Hooks from before kpatch had callbacks. */
#define KPATCH_LOAD_HOOK(fn) SUTURE_TELL(".kpatch.hooks.load", kpatch_loadcall_t, fn)
#define KPATCH_UNLOAD_HOOK(fn) SUTURE_TELL(".kpatch.hooks.unload", kpatch_unloadcall_t, fn)

#define KPATCH_IGNORE_SECTION(name) SUTURE_TELL(".kpatch.ignore.sections", char *, name)
#define KPATCH_IGNORE_FUNCTION(fn) SUTURE_TELL(".kpatch.ignore.functions", void *, fn)
#define KPATCH_FORCE_UNSAFE(fn) SUTURE_TELL(".kpatch.force", void *, fn)

/* printk() without an entry in the kernel's printk index (CONFIG_PRINTK_INDEX). */
#ifdef printk
#define KPATCH_PRINTK(format, ...) _printk(format, ##__VA_ARGS__)
#else
#define KPATCH_PRINTK(format, ...) printk(format, ##__VA_ARGS__)
#endif

/* A static call as an ordinary call through the key's function pointer. */
#define KPATCH_STATIC_CALL(name) ((typeof(STATIC_CALL_TRAMP(name)) *)STATIC_CALL_KEY(name).func)

/* Suture keeps the line numbers of changed files, so that a warning needs no explicit one. */
#define KPATCH_WARN_LINE(line, condition, format...) WARN(condition, format)
#define KPATCH_WARN_ON_LINE(line, condition) WARN_ON(condition)
#define KPATCH_WARN_ON_SMP_LINE(line, condition) WARN_ON_SMP(condition)

#endif
