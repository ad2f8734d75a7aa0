/* SPDX-License-Identifier: GPL-2.0 */
/* The shadow variables of kpatch's own core, which have names, on top of the kernel's, which have numbers. */
#ifndef __KPATCH_SHADOW_H_
#define __KPATCH_SHADOW_H_

#include "suture-hooks.h"

static inline void *kpatch_shadow_alloc(void *obj, const char *var, size_t size, gfp_t gfp)
{
	return klp_shadow_alloc(obj, suture_shadow_id("kpatch:", var), size, gfp, NULL, NULL);
}

static inline void *kpatch_shadow_get(void *obj, const char *var)
{
	return klp_shadow_get(obj, suture_shadow_id("kpatch:", var));
}

static inline void kpatch_shadow_free(void *obj, const char *var)
{
	klp_shadow_free(obj, suture_shadow_id("kpatch:", var), NULL);
}

#endif
