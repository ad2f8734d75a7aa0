# SPDX-License-Identifier: GPL-2.0-or-later
"""What the live patches in force fix, for programs that judge a host by its kernel's version: the
CVE numbers, and a document of OpenVEX (https://openvex.dev, version 0.2.0 of its specification).

A number counts as fixed only while all tasks run the new code of the live patch that names it, and
ftrace redirects each of its functions.  Where it cannot be seen what ftrace does, that is said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from suture import __version__
from suture.core.status import PatchStatus, Status

CONTEXT = "https://openvex.dev/ns/v0.2.0"


def fixed(found: Status) -> Mapping[str, PatchStatus]:
    """Return the CVE numbers that live patches in force name, sorted -> the live patch."""
    named = {cve: item for item in in_force(found) for fix in item.fixes for cve in fix.cves}
    return dict(sorted(named.items()))


def in_force(found: Status) -> list[PatchStatus]:
    """Return the live patches with code that all tasks run, and that ftrace leads to."""
    hindered = {one.patch for one in found.hindrances if not one.is_in_force}
    return [
        item
        for item in found.patches
        if item.patch.enabled and not item.patch.transition and item.patch.name not in hindered
    ]


def openvex(found: Status, product: str, author: str, now: datetime) -> dict[str, object]:
    """Return an OpenVEX document that says of each CVE number in force that it is fixed here.

    :param product: the kernel's package, as a package URL.
    :param author: who says so, such as this host's name.
    """
    unseen = (
        f" Whether BPF programs hinder it cannot be seen: {found.unseen}." if found.unseen else ""
    )
    statements = [
        {
            "vulnerability": {"name": cve},
            "products": [{"@id": product}],
            "status": "fixed",
            "status_notes": _notes(item) + unseen,
        }
        for cve, item in fixed(found).items()
    ]
    digest = hashlib.sha256(json.dumps([author, statements]).encode()).hexdigest()
    return {
        "@context": CONTEXT,
        "@id": f"urn:suture:vex:{digest}",
        "author": author,
        "timestamp": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": 1,
        "tooling": f"suture {__version__}",
        "statements": statements,
    }


def _notes(item: PatchStatus) -> str:
    since = f" since {item.loading.time}" if item.loading else ""
    build = f" (build ID {item.build_id})" if item.build_id else ""
    return f"The live patch {item.patch.name}{build} is in force{since}."
