#include "kpatch-macros.h"

static int null_blk_pre(patch_object *obj)
{
	pr_info("kpatch: pre %s %d %d\n", obj->name, obj->mod->state, g_hw_queue_depth);
	g_hw_queue_depth = 77;
	return 0;
}
KPATCH_PRE_PATCH_CALLBACK(null_blk_pre);
static void null_blk_post_un(patch_object *obj)
{
	pr_info("kpatch: post un %s %d\n", obj->name, obj->mod->state);
	g_hw_queue_depth = 64;
}
KPATCH_POST_UNPATCH_CALLBACK(null_blk_post_un);
