# SPDX-License-Identifier: GPL-2.0-or-later
"""A corpus of real fixes: what changed in each file between two versions of a kernel's source, as a
live patch.

1. `pick`: files that differ between the target's source and a newer one, each difference a patch.
2. `builds`: each patch is built by ``suture build`` in a process of its own.
3. `trials`: what was built is loaded in the lab, many in one guest, and taken out again.
4. `record`: one line of JSON for each patch, so that a run can go on where another ended; and the
   table.
"""
