// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include "kpatch.h"

static noinline int helper(struct seq_file *m)
{
	kpatch_shadow_free(m, "shown");
	msleep(10);
	return 0;
}
static int show(struct seq_file *m, void *v)
{
	if (unlikely(IS_ERR(m)))
		panic("no file");
	while (!kthread_should_stop())
		cpu_relax();
	return helper(m);
}
static struct klp_func funcs[] = { { .old_name = "version_proc_show", .new_func = show }, { } };
static struct klp_object objs[] = { { .funcs = funcs }, { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs };
static int __init fix_init(void) { return klp_enable_patch(&patch); }
static void __exit fix_exit(void) { }
module_init(fix_init);
module_exit(fix_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
