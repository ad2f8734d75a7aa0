// SPDX-License-Identifier: GPL-2.0
/* Callbacks change data before the code is patched, and put it back when it is out; one object has only those. */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/pid.h>

static int saved_pid_max;

static int set_pid_max(struct klp_object *obj)
{
	saved_pid_max = pid_max;
	pid_max = 12345;
	return 0;
}

static void restore_pid_max(struct klp_object *obj)
{
	pid_max = saved_pid_max;
}

static struct klp_func no_funcs[] = {
	{ }
};

static struct klp_object objs[] = {
	{
		.funcs = no_funcs,
		.callbacks = {
			.pre_patch = set_pid_max,
			.post_unpatch = restore_pid_max,
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
