# SPDX-License-Identifier: GPL-2.0-or-later
"""A check that kbuild keeps all options of the target's ``.config``."""

from __future__ import annotations

import re

from suture.errors import CONFIG_DIFFERS, Refusal
from suture.kernel.config import assignments

UNIMPORTANT = re.compile(
    r"CONFIG_("
    # not read by any C code
    r"BUILD_SALT|MODULE_SIG_ALL|MODULE_SIG_KEY|SYSTEM_TRUSTED_KEYS|SYSTEM_REVOCATION_KEYS|"
    # what a tool said of itself
    r"(AS|LD|PAHOLE|RUSTC|BINDGEN|RUSTC_LLVM)_VERSION|(RUSTC|BINDGEN)_VERSION_TEXT|"
    r"RUST_IS_AVAILABLE|HAVE_RUST|OPENSSL_SUPPORTS_ML_DSA|TOOLS_SUPPORT_RELR|CC_CAN_LINK|CC_CAN_LINK_STATIC|PAHOLE_HAS_\w+|RUSTC_\w+"
    r")"
)
"""Options that may differ: they say how packages were made or which tools stand here, and no
compiled code reads them.

What such an option decides (``DEBUG_INFO_BTF``, which adds fields to ``struct module``) is compared
by its own name.
"""

NAMED = 8
"""How many differing options a message names."""


def check_same(
    release: str, shipped: bytes, resulting: bytes, *, same_compiler: bool = True
) -> None:
    """Check that kbuild kept all options of the target's configuration.

    :param same_compiler: False where another compiler than the target's is tried, whose name and
        packaging then differ.
    :raises Refusal: ``config-differs``
    """
    before, after = assignments(shipped), assignments(resulting)
    differing = [
        f"{name}: {before.get(name, 'n')} in the target, {after.get(name, 'n')} here"
        for name in sorted(before.keys() | after.keys())
        if before.get(name, "n") != after.get(name, "n")
        and not UNIMPORTANT.fullmatch(name)
        and (same_compiler or name != "CONFIG_CC_VERSION_TEXT")
        # An empty string and an option that is not there are the same to Kconfig's users in C.
        and {before.get(name, "n"), after.get(name, "n")} != {"n", '""'}
    ]
    if differing:
        rest = [f"... and {len(differing) - NAMED} more"] if len(differing) > NAMED else []
        found = f"{len(differing)} option(s) would differ from the target's"
        raise Refusal(CONFIG_DIFFERS, release, found, evidence=differing[:NAMED] + rest)
