// SPDX-License-Identifier: GPL-2.0
/* System calls as before Linux 4.17, beside an ordinary function and callbacks. */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/syscalls.h>

static asmlinkage long livepatch_sys_iopl(unsigned int level)
{
	return level == 2 ? 66 : -EINVAL;
}

static asmlinkage long livepatch_sys_getppid(void)
{
	return 4321;
}

static int livepatch_version_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "livepatch: old calls\n");
	return 0;
}

static void tell(struct klp_object *obj)
{
	pr_info("author: patched\n");
}

static struct klp_func funcs[] = {
	{
		.old_name = "SyS_iopl",
		.new_func = livepatch_sys_iopl,
	}, {
		.old_name = "sys_getppid",
		.new_func = livepatch_sys_getppid,
	}, {
		.old_name = "version_proc_show",
		.new_func = livepatch_version_proc_show,
	}, { }
};

static struct klp_object objs[] = {
	{
		.funcs = funcs,
		.callbacks = {
			.post_patch = tell,
		},
	}, { }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int livepatch_init(void)
{
	int ret;

	ret = klp_register_patch(&patch);
	if (ret)
		return ret;
	return klp_enable_patch(&patch);
}

static void livepatch_exit(void)
{
	WARN_ON(klp_unregister_patch(&patch));
}

module_init(livepatch_init);
module_exit(livepatch_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
