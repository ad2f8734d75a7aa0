// SPDX-License-Identifier: GPL-2.0
/* Fix for CVE-2025-0001, bsc#1000001 */
#include "livepatch_bsc1000001.h"

int livepatch_bsc1000001_init(void)
{
	return 0;
}
