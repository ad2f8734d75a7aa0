/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lookup of symbols that are not exported, for fixes in SUSE's directories, on any kernel; SUSE's own version is written
 * for the functions of one kernel version.  Suture checks the tables when it builds.
 */
#ifndef _KLP_KALLSYMS_RELOCS_H
#define _KLP_KALLSYMS_RELOCS_H

#include <linux/types.h>

/**
 * struct klp_kallsyms_reloc - one symbol
 * @symname: its name
 * @addr: where to store its address
 * @objname: the module that contains it; NULL for the core kernel
 * @sympos: its position among the symbols of its name; 0 if the name is unique
 */
struct klp_kallsyms_reloc {
	const char *symname;
	void **addr;
	const char *objname;
	unsigned long sympos;
};

int klp_resolve_kallsyms_relocs(struct klp_kallsyms_reloc *relocs, unsigned long count);

static inline int __klp_resolve_kallsyms_relocs(struct klp_kallsyms_reloc *relocs, unsigned long count)
{
	return klp_resolve_kallsyms_relocs(relocs, count);
}

static inline int klp_kallsyms_relocs_init(void)
{
	return 0;
}

#endif /* _KLP_KALLSYMS_RELOCS_H */
