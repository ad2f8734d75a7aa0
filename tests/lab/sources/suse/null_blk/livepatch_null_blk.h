/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LIVEPATCH_NULL_BLK_H
#define _LIVEPATCH_NULL_BLK_H

struct config_item;

static inline int livepatch_null_blk_init(void) { return 0; }
static inline void livepatch_null_blk_cleanup(void) {}

ssize_t klpp_memb_group_features_show(struct config_item *item, char *page);

#endif
