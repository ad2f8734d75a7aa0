/* SPDX-License-Identifier: GPL-2.0 */
/* What <linux/kgraft.h> was called at first. */
#include <linux/kgraft.h>
