/* SPDX-License-Identifier: GPL-2.0 */
/* Under this name kpatch's core declares its shadow variables. */
#ifndef _KPATCH_H_
#define _KPATCH_H_

#include "kpatch-macros.h"
#include "kpatch-shadow.h"

#endif
