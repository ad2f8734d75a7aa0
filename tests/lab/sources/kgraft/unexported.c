// SPDX-License-Identifier: GPL-2.0
/* What modules could name when this was written and may not any more: by its name, and by looking it up. */
#include <linux/init.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/kgraft.h>
#include <linux/module.h>
#include <linux/seq_file.h>

extern char *saved_command_line;
static int (*kgr_version_proc_show)(struct seq_file *m, void *v);

static int kgr_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "kgraft: %s\n", saved_command_line);
	return kgr_version_proc_show(m, v);
}

static struct kgr_patch patch = {
	.name = "unexported",
	.owner = THIS_MODULE,
	.patches = {
		KGR_PATCH(cmdline_proc_show, kgr_cmdline_proc_show),
		KGR_PATCH_END
	}
};

static int __init kgr_patcher_init(void)
{
	kgr_version_proc_show = (void *)kallsyms_lookup_name("version_proc_show");
	if (!kgr_version_proc_show) {
		pr_err("kgraft-patch: function version_proc_show not resolved\n");
		return -ENOENT;
	}
	return kgr_patch_kernel(&patch);
}

static void __exit kgr_patcher_cleanup(void)
{
	kgr_patch_remove(&patch);
}

module_init(kgr_patcher_init);
module_exit(kgr_patcher_cleanup);

MODULE_LICENSE("GPL");
