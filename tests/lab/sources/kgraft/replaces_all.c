// SPDX-License-Identifier: GPL-2.0
/* Takes the place of all patches before it, and does not wait for tasks where kGraft would not. */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kgraft.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int kgr_version_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "kgraft: the only version\n");
	return 0;
}

static struct kgr_patch patch = {
	.name = "replaces_all",
	.owner = THIS_MODULE,
	.replace_all = true,
	.immediate = true,
	.patches = {
		KGR_PATCH(version_proc_show, kgr_version_proc_show, true),
		KGR_PATCH_END
	}
};

static int __init kgr_patcher_init(void)
{
	return kgr_patch_kernel(&patch);
}

static void __exit kgr_patcher_cleanup(void)
{
	kgr_patch_remove(&patch);
}

module_init(kgr_patcher_init);
module_exit(kgr_patcher_cleanup);

MODULE_LICENSE("GPL");
