// SPDX-License-Identifier: GPL-2.0
/* Two functions of the core kernel; init and exit say when they run. */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kgraft.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int kgr_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "kgraft: command line\n");
	return 0;
}

static int kgr_version_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "kgraft: version\n");
	return 0;
}

static struct kgr_patch patch = {
	.name = "two_functions",
	.owner = THIS_MODULE,
	.patches = {
		KGR_PATCH(cmdline_proc_show, kgr_cmdline_proc_show),
		KGR_PATCH(version_proc_show, kgr_version_proc_show),
		KGR_PATCH_END
	}
};

static int __init kgr_patcher_init(void)
{
	pr_info("author: init\n");
	return kgr_patch_kernel(&patch);
}

static void __exit kgr_patcher_cleanup(void)
{
	kgr_patch_remove(&patch);
	pr_info("author: exit\n");
}

module_init(kgr_patcher_init);
module_exit(kgr_patcher_cleanup);

MODULE_LICENSE("GPL");
