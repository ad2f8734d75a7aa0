#include "kpatch-macros.h"
#include <linux/sched/task.h>

static int from_six(void *obj, void *shadow, void *data)
{
	*(int *)shadow = 6;
	return 0;
}
static void last_seen(void *obj, void *shadow) { pr_info("kpatch: last %d\n", *(int *)shadow); }
static void filesystems_post_un(patch_object *obj) { klp_shadow_free_all(78, last_seen); }
KPATCH_POST_UNPATCH_CALLBACK(filesystems_post_un);
