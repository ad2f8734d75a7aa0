/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How fixes in SUSE's directories ask for symbols that are not exported, for any kernel: theirs is written against the
 * functions of one kernel version.  Suture looks at the tables when it builds.
 */
#ifndef _KLP_KALLSYMS_RELOCS_H
#define _KLP_KALLSYMS_RELOCS_H

#include <linux/types.h>

/**
 * struct klp_kallsyms_reloc - one symbol
 * @symname: its name
 * @addr: where its address is to be put
 * @objname: the module that it is in; NULL for the core kernel
 * @sympos: its position among its namesakes; 0 where it has none
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
