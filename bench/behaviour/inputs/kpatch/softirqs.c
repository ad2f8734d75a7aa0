static int softirqs_pre(patch_object *obj)
{
	int *shown = kpatch_shadow_alloc(&init_task, "shown", sizeof(*shown), GFP_KERNEL);

	if (!shown)
		return -ENOMEM;
	*shown = 40;
	return 0;
}
KPATCH_PRE_PATCH_CALLBACK(softirqs_pre);
static void softirqs_post_un(patch_object *obj)
{
	pr_info("kpatch: shown %d\n", *(int *)kpatch_shadow_get(&init_task, "shown"));
	kpatch_shadow_free(&init_task, "shown");
	klp_shadow_free_all(77, NULL);
}
KPATCH_POST_UNPATCH_CALLBACK(softirqs_post_un);
