/* SPDX-License-Identifier: GPL-2.0 */
/* Ksplice has the code of shadow fields here; the kernel has its own. */
#include "ksplice-patch.h"
