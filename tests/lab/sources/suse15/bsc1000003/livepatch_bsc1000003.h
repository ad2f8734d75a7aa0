/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LIVEPATCH_BSC1000003_H
#define _LIVEPATCH_BSC1000003_H

#include <linux/kconfig.h>
#include <linux/types.h>

static inline int livepatch_bsc1000003_init(void) { return 0; }
static inline void livepatch_bsc1000003_cleanup(void) {}

#if IS_ENABLED(CONFIG_BLK_DEV_NULL_BLK)
struct config_item;
ssize_t klpp_memb_group_features_show(struct config_item *item, char *page);
#endif

#endif
