#include "kpatch-macros.h"

static int NAME_pre(patch_object *obj)
{
	pr_info("kpatch: NAME\n");
	return panic_timeout == 222;
}
KPATCH_PRE_PATCH_CALLBACK(NAME_pre);
static void NAME_post_un(patch_object *obj) { pr_info("kpatch: NAME undone\n"); }
KPATCH_POST_UNPATCH_CALLBACK(NAME_post_un);
