// SPDX-License-Identifier: GPL-2.0
/* Shows which live patch is in force. */
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/rwsem.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>
#include <linux/utsname.h>

#include "livepatch_uname.h"

static const char *klp_tag = "/lp-@@GITREV@@";
static struct rw_semaphore *klp_uts_sem;

asmlinkage long klp_sys_newuname(struct new_utsname __user *name)
{
	struct new_utsname copy;

	down_read(klp_uts_sem);
	memcpy(&copy, utsname(), sizeof(copy));
	up_read(klp_uts_sem);
	strlcat(copy.sysname, klp_tag, sizeof(copy.sysname));
	return copy_to_user(name, &copy, sizeof(copy)) ? -EFAULT : 0;
}

int klp_patch_uname_init(void)
{
	klp_uts_sem = (struct rw_semaphore *)kallsyms_lookup_name("uts_sem");
	if (!klp_uts_sem) {
		pr_err("livepatch: symbol uts_sem not resolved\n");
		return -EFAULT;
	}
	return 0;
}
