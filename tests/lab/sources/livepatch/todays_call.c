// SPDX-License-Identifier: GPL-2.0
/* A system call as today's kernels have it, through its registers. */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/ptrace.h>

static asmlinkage long livepatch_sys_iopl(const struct pt_regs *regs)
{
	return (unsigned int)regs->di == 1 ? 55 : -EINVAL;
}

static struct klp_func funcs[] = {
	{
		.old_name = "__x64_sys_iopl",
		.new_func = livepatch_sys_iopl,
	}, { }
};

static struct klp_object objs[] = {
	{
		.funcs = funcs,
	}, { }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int livepatch_init(void)
{
	return klp_enable_patch(&patch);
}

static void livepatch_exit(void)
{
}

module_init(livepatch_init);
module_exit(livepatch_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
