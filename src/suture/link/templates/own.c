// SPDX-License-Identifier: GPL-2.0
/* A module that contains only a live patch. */

static int __init livepatch_init(void)
{
$enable
}

/* The core releases the module only when the patch is disabled and every task has left the new code. */
static void __exit livepatch_exit(void)
{
}

module_init(livepatch_init);
module_exit(livepatch_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("$description");
