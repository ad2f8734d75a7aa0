/* SPDX-License-Identifier: GPL-2.0 */
/* The names that the kernel's SYSCALL_DEFINE macros give to the entries of a system call. */
#ifndef _KLP_SYSCALLS_H
#define _KLP_SYSCALLS_H

#include <linux/syscalls.h>

#if defined(CONFIG_X86_64)
#define KLP_SYSCALL_SYM(name) __x64_sys_##name
#ifdef CONFIG_IA32_EMULATION
#define KLP_ARCH_HAS_SYSCALL_COMPAT_STUBS 1
#define KLP_SYSCALL_COMPAT_STUB_SYM(name) __ia32_sys_##name
#define KLP_COMPAT_SYSCALL_SYM(name) __ia32_compat_sys_##name
#endif
#elif defined(CONFIG_ARM64)
#define KLP_SYSCALL_SYM(name) __arm64_sys_##name
#else
#error "this file knows two architectures"
#endif

#define KLP_SYSCALL_DECLx(x, sym, ...) asmlinkage long sym(const struct pt_regs *)

#endif
