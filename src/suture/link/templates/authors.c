// SPDX-License-Identifier: GPL-2.0
/*
 * A module with its author's init and exit functions.  The function that they call to register their tables registers
 * these.  The core releases the module, so that its exit function runs, once every task has left the new code.
 */

struct $argument;
int $entry(struct $argument *tables);

int $entry(struct $argument *tables)
{
	return klp_enable_patch(&livepatch);
}
MODULE_INFO(livepatch, "Y");
