// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/kgraft.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int new_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "grafted\n");
	return 0;
}
static struct kgr_patch patch = {
	.name = "cmdline", .owner = THIS_MODULE,
	.patches = { KGR_PATCH(cmdline_proc_show, new_cmdline_proc_show), KGR_PATCH_END }
};
static int __init fix_init(void)
{
	pr_info("suture: grafted init\n");
	return kgr_patch_kernel(&patch);
}
static void __exit fix_exit(void)
{
	pr_info("suture: grafted exit\n");
	kgr_patch_remove(&patch);
}
module_init(fix_init);
module_exit(fix_exit);
MODULE_LICENSE("GPL");
