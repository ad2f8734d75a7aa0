// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int new_uptime_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "long\n");
	return 0;
}
static int before(struct klp_object *obj)
{
	pr_info("suture: uptime pre-patch\n");
	return 0;
}
static void after(struct klp_object *obj)
{
	pr_info("suture: uptime post-unpatch\n");
}
static struct klp_func funcs[] = {
	{ .old_name = "uptime_proc_show", .new_func = new_uptime_proc_show }, { }
};
static struct klp_object objs[] = {
	{ .funcs = funcs, .callbacks = { .pre_patch = before, .post_unpatch = after } }, { }
};
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };
static int __init fix_init(void) { return klp_enable_patch(&patch); }
static void __exit fix_exit(void) { }
module_init(fix_init);
module_exit(fix_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
