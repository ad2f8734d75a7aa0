# SPDX-License-Identifier: GPL-2.0-or-later
"""Output objects -> live patch module.

Order of events: `resolve` says how each symbol is reached; `glue` writes the C that describes the
live patch to the core; `kbuild` links both as an external module of the target; `klp` turns
references to what a module may not link against into livepatch relocations; `inspect` reads the
result back.
"""
