/* SPDX-License-Identifier: GPL-2.0 */
/* kpatch's core declares its shadow variables in a header of this name. */
#ifndef _KPATCH_H_
#define _KPATCH_H_

#include "kpatch-macros.h"
#include "kpatch-shadow.h"

#endif
