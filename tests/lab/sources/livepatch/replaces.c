// SPDX-License-Identifier: GPL-2.0
/* Replaces what was patched before it, two functions of the core kernel. */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int livepatch_version_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "livepatch: replaced\n");
	return 0;
}

static int livepatch_loadavg_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "1.00 2.00 3.00 1/1 1\n");
	return 0;
}

static struct klp_object objs[] = {
	{
		.funcs = (struct klp_func[]) {
			{ .old_name = "version_proc_show", .new_func = livepatch_version_proc_show, },
			{ .old_name = "loadavg_proc_show", .new_func = livepatch_loadavg_proc_show, },
			{ }
		},
	}, { }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
	.replace = true,
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
