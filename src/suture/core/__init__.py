# SPDX-License-Identifier: GPL-2.0-or-later
"""The running kernel: load live patches, watch them take over, take them out, and never leave a
host in doubt.

The kernel is the one that knows.  Nothing here keeps a state of its own that could differ from it:
what is loaded is asked of it each time, and the journal only says who did what, and what was
under way when something died.

`running`, `livepatch`, `modules` and `tasks` read; `checks` refuses before anything is changed;
`load`, `unload` and `force` change, each through `transition`; `recover` finishes or undoes what
was interrupted; `journal` remembers.
"""
