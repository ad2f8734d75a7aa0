// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>

#include "kallsyms_relocs.h"

/* The core's own lookup of livepatch symbols: by object, name and position. */
extern int klp_find_object_symbol(const char *objname, const char *name, unsigned long sympos, unsigned long *addr);

int klp_resolve_kallsyms_relocs(struct klp_kallsyms_reloc *relocs, unsigned long count)
{
	unsigned long i, addr;
	int error;

	for (i = 0; i < count; i++) {
		error = klp_find_object_symbol(relocs[i].objname, relocs[i].symname, relocs[i].sympos, &addr);
		if (error)
			return error;
		*relocs[i].addr = (void *)addr;
	}
	return 0;
}
