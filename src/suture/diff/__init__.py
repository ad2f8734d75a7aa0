# SPDX-License-Identifier: GPL-2.0-or-later
"""Original and patched object file -> output object with what changed.

Order of events:

1. `view` reads each object as units (functions and data) and the references between them.
2. `correlate` says which unit of the patched object is which of the original.
3. `compare` finds the functions that changed, and refuses changes that no live patch can make.
4. `select` copies them, with all that they need, into an output object.
"""
