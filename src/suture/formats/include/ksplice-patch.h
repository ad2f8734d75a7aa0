/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of Ksplice's header of this name that patch authors use, for the kernel's own livepatch core. */
#ifndef _KSPLICE_PATCH_H
#define _KSPLICE_PATCH_H

#include <linux/gfp.h>
#include <linux/stringify.h>
#include "suture-hooks.h"

typedef int (*ksplice_int_call_t)(void);
typedef void (*ksplice_void_call_t)(void);

#define ksplice_call_int(stage, fn) SUTURE_TELL(".ksplice_call_" #stage, ksplice_int_call_t, fn)
#define ksplice_call_void(stage, fn) SUTURE_TELL(".ksplice_call_" #stage, ksplice_void_call_t, fn)

#define ksplice_pre_apply(fn) ksplice_call_int(pre_apply, fn)
#define ksplice_check_apply(fn) ksplice_call_int(check_apply, fn)
#define ksplice_apply(fn) ksplice_call_void(apply, fn)
#define ksplice_post_apply(fn) ksplice_call_void(post_apply, fn)
#define ksplice_fail_apply(fn) ksplice_call_void(fail_apply, fn)

#define ksplice_pre_reverse(fn) ksplice_call_int(pre_reverse, fn)
#define ksplice_check_reverse(fn) ksplice_call_int(check_reverse, fn)
#define ksplice_reverse(fn) ksplice_call_void(reverse, fn)
#define ksplice_post_reverse(fn) ksplice_call_void(post_reverse, fn)
#define ksplice_fail_reverse(fn) ksplice_call_void(fail_reverse, fn)

/* Suture's comparison with the shipped kernel needs no hints. */
#define ksplice_assume_rodata(obj) SUTURE_TELL(".ksplice_options", void *, (void *)&(obj))
#define ksplice_match_data_early(obj) SUTURE_TELL(".ksplice_options", void *, (void *)&(obj))

/*
 * Shadow fields: data of field_type attached to an object of base_type.  The functions are named after the field:
 * init_NAME_shadow(obj, flags) attaches it and calls init_field, get_NAME_shadow(obj) returns it or NULL,
 * make_NAME_shadow(obj, flags) returns it and attaches it first if necessary, cleanup_NAME_shadow(obj) frees it, and
 * cleanup_NAME_shadows() frees those of all objects, which also happens when the live patch is unloaded.
 */
#define __DECLARE_SHADOW_FIELD(base_type, field_type, init_type_fn, init_fn, get_fn, make_fn, cleanup_fn, cleanup_type_fn) \
	int init_type_fn(void);							\
	field_type *init_fn(base_type *obj, gfp_t flags);			\
	field_type *get_fn(base_type *obj);					\
	field_type *make_fn(base_type *obj, gfp_t flags);			\
	void cleanup_fn(base_type *obj);					\
	void cleanup_type_fn(void)

#define __DEFINE_SHADOW_FIELD(base_type, field_type, gfp_flags, init_type_fn, init_fn, get_fn, make_fn, cleanup_fn, cleanup_type_fn, shadow_key, init_field) \
	__DECLARE_SHADOW_FIELD(base_type, field_type, init_type_fn, init_fn, get_fn, make_fn, cleanup_fn, cleanup_type_fn); \
	static __always_inline unsigned long shadow_key(void)			\
	{									\
		return suture_shadow_id("ksplice:", __stringify(shadow_key));	\
	}									\
	int init_type_fn(void)							\
	{									\
		return 0;							\
	}									\
	field_type *init_fn(base_type *obj, gfp_t flags)			\
	{									\
		field_type *data = klp_shadow_alloc(obj, shadow_key(), sizeof(*data), flags, NULL, NULL); \
										\
		if (data)							\
			init_field(data);					\
		return data;							\
	}									\
	field_type *get_fn(base_type *obj)					\
	{									\
		return klp_shadow_get(obj, shadow_key());			\
	}									\
	field_type *make_fn(base_type *obj, gfp_t flags)			\
	{									\
		field_type *data = get_fn(obj);					\
										\
		return data ? data : init_fn(obj, flags);			\
	}									\
	void cleanup_fn(base_type *obj)						\
	{									\
		klp_shadow_free(obj, shadow_key(), NULL);			\
	}									\
	void cleanup_type_fn(void)						\
	{									\
		klp_shadow_free_all(shadow_key(), NULL);			\
	}									\
	struct suture_eats_semicolon

#define DECLARE_SHADOW_FIELD(base_type, field_type, name) \
	__DECLARE_SHADOW_FIELD(base_type, field_type, init_##name##_shadows, init_##name##_shadow, get_##name##_shadow, \
			       make_##name##_shadow, cleanup_##name##_shadow, cleanup_##name##_shadows)

#define DEFINE_SHADOW_FIELD(base_type, field_type, gfp_flags, name, init_field) \
	__DEFINE_SHADOW_FIELD(base_type, field_type, gfp_flags, init_##name##_shadows, init_##name##_shadow,	\
			      get_##name##_shadow, make_##name##_shadow, cleanup_##name##_shadow,	\
			      cleanup_##name##_shadows, shadow_key_##name, init_field);			\
	ksplice_check_apply(init_##name##_shadows)							\
	ksplice_post_reverse(cleanup_##name##_shadows)							\
	ksplice_fail_apply(cleanup_##name##_shadows)							\
	struct suture_eats_semicolon

#endif
