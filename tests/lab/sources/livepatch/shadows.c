// SPDX-License-Identifier: GPL-2.0
/* A shadow variable that lives from before the code is patched until after it is out. */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#define SHADOW_COUNT 1

static int make_count(struct klp_object *obj)
{
	int *count = klp_shadow_alloc(THIS_MODULE, SHADOW_COUNT, sizeof(*count), GFP_KERNEL, NULL, NULL);

	if (!count)
		return -ENOMEM;
	*count = 10;
	return 0;
}

static void tell_count(void *obj, void *count)
{
	pr_info("author: count was %d\n", *(int *)count);
}

static void drop_count(struct klp_object *obj)
{
	klp_shadow_free_all(SHADOW_COUNT, tell_count);
	pr_info("author: shadow is %s\n", klp_shadow_get(THIS_MODULE, SHADOW_COUNT) ? "there" : "gone");
}

static int livepatch_version_proc_show(struct seq_file *m, void *v)
{
	int *count = klp_shadow_get(THIS_MODULE, SHADOW_COUNT);

	seq_printf(m, "livepatch: count %d\n", ++*count);
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "version_proc_show",
		.new_func = livepatch_version_proc_show,
	}, { }
};

static struct klp_object objs[] = {
	{
		.funcs = funcs,
		.callbacks = {
			.pre_patch = make_count,
			.post_unpatch = drop_count,
		},
	}, { }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int livepatch_init(void)
{
	return klp_enable_patch(&patch);
}

static void livepatch_exit(void)
{
}

module_init(livepatch_init);
module_exit(livepatch_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
