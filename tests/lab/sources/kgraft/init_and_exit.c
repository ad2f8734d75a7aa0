// SPDX-License-Identifier: GPL-2.0
/* Data that init changes before the code is patched, and exit puts back when it is out. */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kgraft.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/seq_file.h>

static int saved_pid_max;

static int kgr_version_proc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "kgraft: pids to %d, not %d\n", pid_max, saved_pid_max);
	return 0;
}

static struct kgr_patch patch = {
	.name = "init_and_exit",
	.owner = THIS_MODULE,
	.patches = {
		KGR_PATCH(version_proc_show, kgr_version_proc_show),
		KGR_PATCH_END
	}
};

static int __init kgr_patcher_init(void)
{
	int ret;

	saved_pid_max = pid_max;
	pid_max = 23456;
	ret = kgr_patch_kernel(&patch);
	if (ret)
		pid_max = saved_pid_max;
	return ret;
}

static void __exit kgr_patcher_cleanup(void)
{
	kgr_patch_remove(&patch);
	pid_max = saved_pid_max;
}

module_init(kgr_patcher_init);
module_exit(kgr_patcher_cleanup);

MODULE_LICENSE("GPL");
