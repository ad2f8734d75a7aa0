/* SPDX-License-Identifier: GPL-2.0 */
/* The first name of <linux/kgraft.h>. */
#include <linux/kgraft.h>
