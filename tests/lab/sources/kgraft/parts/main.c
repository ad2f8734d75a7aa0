// SPDX-License-Identifier: GPL-2.0
/* Several files; the header is found where the Makefile says. */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kgraft.h>
#include <linux/module.h>

#include <fix.h>

static struct kgr_patch patch = {
	.name = "several_files",
	.owner = THIS_MODULE,
	.patches = {
		KGR_PATCH(cmdline_proc_show, kgr_cmdline_proc_show),
		KGR_PATCH_END
	}
};

static int __init kgr_patcher_init(void)
{
	int ret = kgr_fix_init();

	return ret ? ret : kgr_patch_kernel(&patch);
}

static void __exit kgr_patcher_cleanup(void)
{
	kgr_fix_cleanup();
	kgr_patch_remove(&patch);
}

module_init(kgr_patcher_init);
module_exit(kgr_patcher_cleanup);

MODULE_LICENSE("GPL");
