// SPDX-License-Identifier: GPL-2.0
/* System calls by the names they had: with no argument, with a pointer, with one that is narrower than a register. */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kgraft.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>
#include <linux/utsname.h>

asmlinkage long kgr_sys_getpid(void)
{
	return 1000000 + task_tgid_vnr(current);
}

asmlinkage long kgr_sys_newuname(struct new_utsname __user *name)
{
	static const struct new_utsname kgr_name = { .sysname = "kGraft", .machine = "x86_64" };

	return copy_to_user(name, &kgr_name, sizeof(kgr_name)) ? -EFAULT : 0;
}

asmlinkage long kgr_sys_iopl(unsigned int level)
{
	return level == 3 ? 77 : -EINVAL;
}

static struct kgr_patch patch = {
	.name = "system_calls",
	.owner = THIS_MODULE,
	.patches = {
		KGR_PATCH(sys_getpid, kgr_sys_getpid),
		KGR_PATCH(SyS_newuname, kgr_sys_newuname, true),
		KGR_PATCH(SyS_iopl, kgr_sys_iopl, true),
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
