// SPDX-License-Identifier: GPL-2.0
/* A system call that sleeps in what its new function calls last, for as long as it is told to. */
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kgraft.h>
#include <linux/linkage.h>
#include <linux/module.h>

static bool hold = true;
module_param(hold, bool, 0644);

static noinline long wait_and_answer(void)
{
	while (READ_ONCE(hold))
		msleep(20);
	return 77;
}

static asmlinkage long kgr_sys_iopl(unsigned int level)
{
	return wait_and_answer();
}

static struct kgr_patch patch = {
	.name = "sleeps",
	.owner = THIS_MODULE,
	.patches = {
		KGR_PATCH(sys_iopl, kgr_sys_iopl),
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
