# SPDX-License-Identifier: GPL-2.0-or-later
"""Output objects -> live patch module.

1. `resolve` decides how new code reaches each symbol of the running kernel.
2. `glue` writes the C that describes the live patch to the core.
3. `kbuild` links both as an external module of the target.
4. `klp` turns references to what a module may not link against into livepatch relocations.

`suture.module.inspect` reads the result back.
"""
