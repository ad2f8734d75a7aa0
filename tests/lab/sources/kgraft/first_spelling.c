// SPDX-License-Identifier: GPL-2.0
/* As the first patches were written: a declaration for each function, and no way back. */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kgraft.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int new_uptime_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "12345.67 89.10\n");
	return 0;
}
KGR_PATCHED_FUNCTION(patch, uptime_proc_show, new_uptime_proc_show);

static int new_loadavg_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "4.20 4.20 4.20 1/1 1\n");
	return 0;
}
KGR_PATCHED_FUNCTION(loadavg_proc_show, new_loadavg_proc_show, true);

static const struct kgr_patch patch = {
	.patches = {
		KGR_PATCH(uptime_proc_show),
		KGR_PATCH(loadavg_proc_show),
		KGR_PATCH_END
	}
};

static int __init kgr_patcher_init(void)
{
	__module_get(THIS_MODULE);
	kgr_start_patching(&patch);
	return 0;
}

static void __exit kgr_patcher_cleanup(void)
{
	pr_err("removing now buggy!\n");
}

module_init(kgr_patcher_init);
module_exit(kgr_patcher_cleanup);

MODULE_LICENSE("GPL");
