// SPDX-License-Identifier: GPL-2.0
#include <linux/syscalls.h>

#include "livepatch_bsc1000002.h"

__SYSCALL_DEFINEx(1, _klpp_getpgid, pid_t, pid)
{
	return pid < 0 ? -ESRCH : 1500 + pid;
}
