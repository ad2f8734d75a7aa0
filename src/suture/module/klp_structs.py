# SPDX-License-Identifier: GPL-2.0-or-later
"""Offsets of fields in livepatch's structures, in bytes, on 64-bit kernels
(``include/linux/livepatch.h``).

The fields that an author sets come first in each structure, and have kept their places but for one:
Linux 5.5 put `states` before `replace` of ``struct klp_patch``.
"""

PATCH_OBJECTS, PATCH_STATES, PATCH_REPLACE = 8, 16, 24
"""``struct klp_patch``: mod, objs, states, replace."""

PATCH_REPLACE_BEFORE_5_5 = 16

PATCH_SIZE = 32
"""Bytes of the fields of ``struct klp_patch`` that an author sets, padded."""

OBJECT_FUNCTIONS, OBJECT_CALLBACKS = 8, 16
"""``struct klp_object``: name, funcs, callbacks."""

FUNCTION_NEW, FUNCTION_SYMPOS = 8, 16
"""``struct klp_func``: old_name, new_func, old_sympos."""
