// SPDX-License-Identifier: GPL-2.0
/*
 * Several authors' modules in one.  Each author's init function registers its tables as before, and these functions
 * report success; the combined live patch is registered after the last one.  If an init function or the core fails,
 * the exit functions of the modules before it run.  They are in sections that modpost lets only such code refer to.
 */

struct kgr_patch;
int kgr_patch_kernel(struct kgr_patch *tables);
int livepatch_enable_patch(struct klp_patch *tables);
$declarations

int kgr_patch_kernel(struct kgr_patch *tables)
{
	return 0;
}

int livepatch_enable_patch(struct klp_patch *tables)
{
	return 0;
}

static int __ref livepatch_init(void)
{
	int error;

$inits
	error = klp_enable_patch(&livepatch);
$done
$undo
	return error;
}

/* The core releases the module only when the patch is disabled and every task has left the new code. */
static void __ref livepatch_exit(void)
{
$exits
}

module_init(livepatch_init);
module_exit(livepatch_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("$description");
