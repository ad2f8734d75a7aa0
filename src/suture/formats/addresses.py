# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches that are given by their web address."""

from __future__ import annotations

import re
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, build_opener

from suture import __version__
from suture.errors import ADDRESS_UNREACHABLE, NOT_A_PATCH, Refusal
from suture.host.pipes import once
from suture.host.progress import note, step

LARGEST = 1 << 26
"""Bytes; whoever gives more has given no patch that could be live."""

TIMEOUT = 30
"""Seconds without a byte."""

_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
_PAGE = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html)\b", re.IGNORECASE)

_PLAIN = (
    (re.compile(r"(https://git\.kernel\.org/.*)/commit/(.*)"), r"\1/patch/\2"),
    (re.compile(r"(https://git(?:hub|lab)\.com/.*/commit/[0-9a-f]+)/?"), r"\1.patch"),
    (re.compile(r"(https://github\.com/.*/pull/\d+)(?:/.*)?"), r"\1.patch"),
    (re.compile(r"(https://lore\.kernel\.org/[^/]+/[^/]+)/?"), r"\1/raw"),
)
"""Pages that show a change -> where the same site has it as a patch."""


def is_address(text: str) -> bool:
    """Tell whether an input is a web address."""
    return _ADDRESS.fullmatch(text) is not None


def fetched(address: str) -> bytes:
    """Return what a web address leads to, through the user's proxy.

    :raises Refusal: ``address-unreachable``; ``not-a-patch`` for a web page
    """
    data = once(address, lambda: _fetch(address))
    if _PAGE.match(data):
        plain = next(
            (read.expand(new) for old, new in _PLAIN if (read := old.fullmatch(address))), ""
        )
        remedy = f"Give {plain}." if plain else "Give the address of the patch as plain text."
        raise Refusal(NOT_A_PATCH, address, "is a web page", remedy=remedy)
    return data


def file_name(address: str) -> str:
    """Return a name for the patch: the last part of its path."""
    last = urlsplit(address).path.rstrip("/").rpartition("/")[2]
    plain = re.sub(r"[^\w.-]+", "-", last).strip(".-")
    return plain or "patch"


def _fetch(address: str) -> bytes:
    if address.lower().startswith("http:"):
        note(f"{address} is not encrypted: whoever is on the way can change the patch")
    request = Request(address, headers={"User-Agent": f"suture/{__version__}"})
    try:
        # An opener of its own, because urlopen() keeps the proxies of its first call.
        opener = build_opener()
        with step("Fetching", address), opener.open(request, timeout=TIMEOUT) as answer:
            data: bytes = answer.read(LARGEST + 1)
    except (URLError, HTTPException, OSError, ValueError) as error:
        raise Refusal(ADDRESS_UNREACHABLE, address, _reason(error)) from error
    if len(data) > LARGEST:
        raise Refusal(ADDRESS_UNREACHABLE, address, f"gives more than {LARGEST >> 20} MiB")
    return data


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server answers {error.code} {error.reason}"
    reason = error.reason if isinstance(error, URLError) else error
    return str(reason) or "the answer ended early"
