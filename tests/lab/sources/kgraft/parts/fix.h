/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KGR_FIX_H
#define _KGR_FIX_H

struct seq_file;

int kgr_fix_init(void);
void kgr_fix_cleanup(void);
int kgr_cmdline_proc_show(struct seq_file *m, void *v);

#endif
