// SPDX-License-Identifier: GPL-2.0
#if IS_ENABLED(CONFIG_BLK_DEV_NULL_BLK)

#include <linux/configfs.h>
#include <linux/kernel.h>

#include "livepatch_bsc1000003.h"

extern int g_submit_queues;

ssize_t klpp_memb_group_features_show(struct config_item *item, char *page)
{
	return sprintf(page, "suse15: %d\n", g_submit_queues);
}

#include <linux/livepatch.h>

extern typeof(g_submit_queues) g_submit_queues
	 KLP_RELOC_SYMBOL(null_blk, null_blk, g_submit_queues);

#endif
