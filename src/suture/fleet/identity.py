# SPDX-License-Identifier: GPL-2.0-or-later
"""The name of this host in FleetLock's protocol: the one that Zincati has for it, so that both hold
the same slot."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from suture.core.running import ROOT, text
from suture.errors import FILE_UNREADABLE, Refusal

ZINCATI = bytes.fromhex("de35106b6ec24688b63afddaa156679b")
"""Zincati's application ID (coreos/zincati: ``src/identity/mod.rs: APP_ID``)."""

MACHINE_ID = "etc/machine-id"


def app_specific_id(machine_id: str, application: bytes = ZINCATI) -> str:
    """Return the ID of a machine for one application, from which the machine's own ID cannot be
    told (systemd/systemd: ``src/libsystemd/sd-id128/sd-id128.c:
    sd_id128_get_machine_app_specific()``).

    :param machine_id: 32 hexadecimal digits.
    :return: 32 hexadecimal digits, of a UUID of version 4.
    """
    made = bytearray(hmac.digest(bytes.fromhex(machine_id), application, hashlib.sha256)[:16])
    made[6] = made[6] & 0x0F | 0x40
    made[8] = made[8] & 0x3F | 0x80
    return made.hex()


def this_host(root: Path = ROOT) -> str:
    """Return this host's ID.

    :raises Refusal: ``file-unreadable``
    """
    found = text(root / MACHINE_ID)
    if not re.fullmatch(r"[0-9a-f]{32}", found):
        raise Refusal(
            FILE_UNREADABLE,
            str(root / MACHINE_ID),
            "has no machine ID",
            remedy="Make one with systemd-machine-id-setup, or name this host with --id.",
        )
    return app_specific_id(found)
