// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "livepatch_meminfo.h"
#include "../kallsyms_relocs.h"

static char **klpe_saved_command_line;
static void *klpe_c_next;

int klpp_version_proc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "suse: %d %px\n", strlen(*klpe_saved_command_line) > 0, klpe_c_next);
	return 0;
}

int klpp_loadavg_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "7.00 7.00 7.00 1/1 1\n");
	return 0;
}

static struct klp_kallsyms_reloc klp_funcs[] = {
	{ "saved_command_line", (void *)&klpe_saved_command_line },
	{ "c_next", (void *)&klpe_c_next, NULL, 2 },
};

int livepatch_meminfo_init(void)
{
	return klp_resolve_kallsyms_relocs(klp_funcs, ARRAY_SIZE(klp_funcs));
}
