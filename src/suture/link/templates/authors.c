// SPDX-License-Identifier: GPL-2.0
/*
 * A module whose author wrote init and exit functions.  What they call to register their own tables registers these;
 * the core lets the module go, and so its exit function run, when the patch is out and every task has left the new code.
 */

struct $argument;
int $entry(struct $argument *tables);

int $entry(struct $argument *tables)
{
	return klp_enable_patch(&livepatch);
}
MODULE_INFO(livepatch, "Y");
