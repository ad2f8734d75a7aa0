#include "kpatch-macros.h"

static int before;
static int version_pre(patch_object *obj)
{
	pr_info("kpatch: pre %s %d\n", obj->name ? obj->name : "core", panic_timeout);
	before = panic_timeout;
	panic_timeout = 42;
	return 0;
}
KPATCH_PRE_PATCH_CALLBACK(version_pre);
static void version_post(patch_object *obj) { pr_info("kpatch: post\n"); }
KPATCH_POST_PATCH_CALLBACK(version_post);
static void version_pre_un(patch_object *obj) { pr_info("kpatch: pre un\n"); }
KPATCH_PRE_UNPATCH_CALLBACK(version_pre_un);
static void version_post_un(patch_object *obj)
{
	pr_info("kpatch: post un\n");
	panic_timeout = before;
}
KPATCH_POST_UNPATCH_CALLBACK(version_post_un);
