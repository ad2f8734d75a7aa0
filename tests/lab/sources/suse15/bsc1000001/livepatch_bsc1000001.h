/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LIVEPATCH_BSC1000001_H
#define _LIVEPATCH_BSC1000001_H

struct seq_file;

int livepatch_bsc1000001_init(void);
static inline void livepatch_bsc1000001_cleanup(void) {}

int klpp_version_proc_show(struct seq_file *m, void *v);
int klpp_loadavg_proc_show(struct seq_file *m, void *v);

#endif
