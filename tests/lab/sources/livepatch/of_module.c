// SPDX-License-Identifier: GPL-2.0
/* A function of a module that comes later, with a static variable of that module. */
#include <linux/configfs.h>
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>

extern int g_submit_queues;

static ssize_t livepatch_features_show(struct config_item *item, char *page)
{
	return sprintf(page, "livepatch: %d queues\n", g_submit_queues);
}

static struct klp_func funcs[] = {
	{
		.old_name = "memb_group_features_show",
		.new_func = livepatch_features_show,
	}, { }
};

static struct klp_object objs[] = {
	{
		.name = "null_blk",
		.funcs = funcs,
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
