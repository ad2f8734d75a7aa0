/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LIVEPATCH_BSC1000002_H
#define _LIVEPATCH_BSC1000002_H

#include "../klp_syscalls.h"

static inline int livepatch_bsc1000002_init(void) { return 0; }
static inline void livepatch_bsc1000002_cleanup(void) {}

KLP_SYSCALL_DECLx(1, KLP_SYSCALL_SYM(klpp_getpgid), pid_t, pid);
#ifdef KLP_ARCH_HAS_SYSCALL_COMPAT_STUBS
KLP_SYSCALL_DECLx(1, KLP_SYSCALL_COMPAT_STUB_SYM(klpp_getpgid), pid_t, pid);
#endif

#endif
