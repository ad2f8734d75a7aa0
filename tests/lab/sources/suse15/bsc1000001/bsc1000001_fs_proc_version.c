// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include <linux/string.h>

extern char *saved_command_line;
extern void *c_next(struct seq_file *m, void *v, loff_t *pos);

#include <linux/sched.h>

#include "livepatch_bsc1000001.h"
#include "klp_trace.h"

KLPR_TRACE_EVENT(vmlinux, sched_process_hang,
		 TP_PROTO(struct task_struct *tsk),
		 TP_ARGS(tsk)
);

int klpp_version_proc_show(struct seq_file *m, void *v)
{
	klpr_trace_sched_process_hang(current);
	seq_printf(m, "suse15: %d %px\n", strlen(saved_command_line) > 0, c_next);
	return 0;
}

int klpp_loadavg_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "15.00 15.00 15.00 1/1 1\n");
	return 0;
}

#include <linux/livepatch.h>

extern typeof(saved_command_line) saved_command_line
	 KLP_RELOC_SYMBOL(vmlinux, vmlinux, saved_command_line);
extern typeof(c_next) c_next KLP_RELOC_SYMBOL_POS(vmlinux, vmlinux, c_next, 2);
