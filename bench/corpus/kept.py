# SPDX-License-Identifier: GPL-2.0-or-later
"""Variables that an author of a live patch would leave as they are (``--keep-data``), found out by
reading the fix.

Only what the running kernel holds and what the fix is about decide that, so there is no rule for
it: what is not named here stays refused.
"""

from __future__ import annotations

from collections.abc import Mapping

KEPT: Mapping[str, Mapping[str, str]] = {
    "drivers/block/null_blk/main.c": {
        "lock": "a mutex that mutex_init() set up when the module was loaded, and that its "
        "definition does now",
    },
    "drivers/hid/hid-logitech-hidpp.c": {
        "hidpp_devices": "one more device by its number; what the fix does in the driver's code "
        "goes for all of them",
    },
    "drivers/isdn/hardware/mISDN/hfcpci.c": {
        "hfc_tl": "a timer that timer_setup() set up where it is used, and that its definition "
        "does now",
    },
}
"""Source file -> variable -> why it may stay."""
