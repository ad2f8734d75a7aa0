// SPDX-License-Identifier: GPL-2.0
#include <linux/errno.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/module.h>

#include "kallsyms_relocs.h"

int klp_resolve_kallsyms_relocs(struct klp_kallsyms_reloc *relocs, unsigned long count)
{
	char name[MODULE_NAME_LEN + KSYM_NAME_LEN + 1];
	unsigned long i;

	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s%s%s", relocs[i].objname ?: "", relocs[i].objname ? ":" : "",
			 relocs[i].symname);
		*relocs[i].addr = (void *)kallsyms_lookup_name(name);
		if (!*relocs[i].addr) {
			pr_err("livepatch: symbol %s not resolved\n", name);
			return -ENOENT;
		}
	}
	return 0;
}
