/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LIVEPATCH_MEMINFO_H
#define _LIVEPATCH_MEMINFO_H

struct seq_file;

int livepatch_meminfo_init(void);
static inline void livepatch_meminfo_cleanup(void) {}

int klpp_version_proc_show(struct seq_file *m, void *v);
int klpp_loadavg_proc_show(struct seq_file *m, void *v);

#endif
