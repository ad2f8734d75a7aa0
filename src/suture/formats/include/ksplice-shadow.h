/* SPDX-License-Identifier: GPL-2.0 */
/* In Ksplice, this header has the code of shadow fields; the kernel has its own. */
#include "ksplice-patch.h"
