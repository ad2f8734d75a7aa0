// SPDX-License-Identifier: GPL-2.0
/* A function of a module that need not be there yet, beside one of the core kernel. */
#include <linux/configfs.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kgraft.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static ssize_t kgr_memb_group_features_show(struct config_item *item, char *page)
{
	return sprintf(page, "kgraft: features\n");
}

static int kgr_version_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "kgraft: version beside a module\n");
	return 0;
}

static struct kgr_patch patch = {
	.name = "module_objects",
	.owner = THIS_MODULE,
	.patches = {
		KGR_PATCH_OBJ(memb_group_features_show, kgr_memb_group_features_show, "null_blk"),
		KGR_PATCH_OBJ(version_proc_show, kgr_version_proc_show, NULL),
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
