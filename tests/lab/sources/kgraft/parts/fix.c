// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include <linux/seq_file.h>

#include "fix.h"

static int shown;

int kgr_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "kgraft: shown %d times, level %d\n", ++shown, KGR_LEVEL);
	return 0;
}

int kgr_fix_init(void)
{
	shown = 40;
	return 0;
}

void kgr_fix_cleanup(void)
{
}
