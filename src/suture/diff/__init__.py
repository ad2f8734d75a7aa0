# SPDX-License-Identifier: GPL-2.0-or-later
"""Original and patched object file -> output object with what changed.

Order of events:

1. `suture.objects.view` reads each object as units (functions and data) and references.
2. `correlate` pairs the units of the two objects.
3. `changes` finds changed functions, and refuses changes that no live patch can make.
4. `plan` holds which functions are replaced and which are carried.
5. `cut_out` copies them, with everything that they need, into an output object.
"""
