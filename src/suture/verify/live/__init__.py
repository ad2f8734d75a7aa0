# SPDX-License-Identifier: GPL-2.0-or-later
"""The code in the memory of this host's kernel, beside the code of the image that it was shipped
as.

1. `running` opens ``/proc/kcore``, and finds by how much the kernel moved itself at boot.
2. `core_text` and `module_text` give the image's bytes as they read at their running addresses.
3. `tables` lists the places that the kernel writes to, with the architecture's own
   (`suture.arch.live_code`).
4. `compare` takes one function: each byte outside these places is the image's, and each place has
   what the kernel writes there.
5. `outcome` does so for what a live patch module replaces and reaches.
"""
