# SPDX-License-Identifier: GPL-2.0-or-later
"""The certificates that this host trusts to sign live patches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from suture.core import trusted
from suture.module.signature import certificate

if TYPE_CHECKING:
    from cryptography import x509

TRUSTED = Path("/etc/suture/trusted")
"""Where root puts certificates, one in a file."""


def trusted_certificates(
    directory: Path = TRUSTED, *, anchor: Path = Path("/"), owner: int = 0
) -> list[x509.Certificate]:
    """All that are in `directory`; none where it is not there.

    :raises Refusal: ``path-untrusted``, ``key-unusable``, ``library-missing``
    """
    try:
        with trusted.open_directory(directory, anchor=anchor, owner=owner) as opened:
            return [
                certificate(opened.read(name), str(directory / name)) for name in opened.names()
            ]
    except FileNotFoundError:
        return []
