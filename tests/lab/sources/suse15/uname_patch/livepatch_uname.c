// SPDX-License-Identifier: GPL-2.0
/* Shows which live patch is in force. */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/rwsem.h>
#include <linux/string.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>

#include "livepatch_uname.h"

extern struct rw_semaphore uts_sem KLP_RELOC_SYMBOL(vmlinux, vmlinux, uts_sem);

static const char *klp_tag = "/lp-@@GITREV@@";

__SYSCALL_DEFINEx(1, _klp_newuname, struct new_utsname __user *, name)
{
	struct new_utsname copy;

	down_read(&uts_sem);
	memcpy(&copy, utsname(), sizeof(copy));
	up_read(&uts_sem);
	strlcat(copy.sysname, klp_tag, sizeof(copy.sysname));
	return copy_to_user(name, &copy, sizeof(copy)) ? -EFAULT : 0;
}
