// SPDX-License-Identifier: GPL-2.0
/* Symbols whose object and position the author names, of the core kernel and of a module. */
#include <linux/configfs.h>
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

extern int g_submit_queues KLP_RELOC_SYMBOL(null_blk, null_blk, g_submit_queues);
extern int version_proc_show(struct seq_file *m, void *v) KLP_RELOC_SYMBOL_POS(vmlinux, vmlinux, version_proc_show, 1);

static ssize_t livepatch_features_show(struct config_item *item, char *page)
{
	return sprintf(page, "livepatch: %d queues, by name\n", g_submit_queues);
}

static int livepatch_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "livepatch: ");
	return version_proc_show(m, v);
}

static struct klp_func null_blk_funcs[] = {
	{
		.old_name = "memb_group_features_show",
		.new_func = livepatch_features_show,
	}, { }
};

static struct klp_func vmlinux_funcs[] = {
	{
		.old_name = "cmdline_proc_show",
		.new_func = livepatch_cmdline_proc_show,
		.old_sympos = 1,
	}, { }
};

static struct klp_object objs[] = {
	{
		.name = "null_blk",
		.funcs = null_blk_funcs,
	}, {
		.funcs = vmlinux_funcs,
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
