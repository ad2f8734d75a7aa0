# SPDX-License-Identifier: GPL-2.0-or-later
"""What this host follows: ``/etc/suture/follow.toml``, and the root metadata that it trusts first,
``/etc/suture/root.json``.

.. code:: toml

    url = "https://patches.example.org/kernel"
    ring = "canary"
    delay = "24h"              # load a live patch only that long after the ring has chosen it
    at-boot = true             # install what was loaded, so that boots load it
    require-signature = false  # as 'suture load --require-signature'
    timeout = 60               # seconds for a transition, as 'suture load --timeout'
    proxy = "http://proxy.example.org:3128"

Both files have to be root's alone, like all that decides what is loaded (`suture.core.trusted`).
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from suture.core import trusted
from suture.core.change import TIMEOUT
from suture.core.status import SETTINGS
from suture.errors import FOLLOW_NOT_SET_UP, FOLLOW_SETTINGS_WRONG, Refusal
from suture.repo.documents import RING

ROOT_NAME = "root.json"
SCHEMES = ("https", "http", "file")

_DELAY = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """What a host follows, and how.

    :ivar root: the content of the root metadata.
    :ivar delay: how long after the ring has chosen it a live patch is loaded.
    :ivar at_boot: whether what was loaded is installed for the next boots.
    :ivar require_signature: whether a module needs a signature by a key in /etc/suture/trusted.
    :ivar timeout: seconds for a transition.
    :ivar proxy: its address; "" for that of the environment.
    """

    url: str
    ring: str
    root: bytes
    delay: timedelta = timedelta()
    at_boot: bool = True
    require_signature: bool = False
    timeout: float = TIMEOUT
    proxy: str = ""


KEYS = frozenset({"url", "ring", "delay", "at-boot", "require-signature", "timeout", "proxy"})


def read(path: Path = SETTINGS, *, anchor: Path = Path("/"), owner: int = 0) -> FollowSettings:
    """Read the settings.

    :raises Refusal: ``follow-not-set-up``, ``follow-settings-wrong``, ``path-untrusted``,
        ``file-unreadable``
    """
    try:
        with trusted.open_directory(path.parent, anchor=anchor, owner=owner) as directory:
            content = directory.read(path.name)
            try:
                root = directory.read(ROOT_NAME)
            except FileNotFoundError:
                where = str(path.with_name(ROOT_NAME))
                raise Refusal(FOLLOW_NOT_SET_UP, where, "does not exist") from None
    except FileNotFoundError:
        raise Refusal(FOLLOW_NOT_SET_UP, str(path), "does not exist") from None
    return parse(content, root, str(path))


def parse(content: bytes, root: bytes, where: str) -> FollowSettings:
    """Read the contents of both files.  :raises Refusal: ``follow-settings-wrong``"""
    try:
        fields = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise _wrong(where, f"is not TOML: {error}") from None
    if unknown := sorted(set(fields) - KEYS):
        raise _wrong(where, f"nothing is known of {', '.join(map(repr, unknown))}")
    timeout = fields.get("timeout", TIMEOUT)
    if type(timeout) not in (int, float) or not 0 < timeout < 86_400:
        raise _wrong(where, "timeout is not a number of seconds")
    proxy = _text(fields, "proxy", where, "")
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        raise _wrong(where, f"proxy is not the address of one: {proxy!r}")
    return FollowSettings(
        checked_url(_text(fields, "url", where), where),
        checked_ring(_text(fields, "ring", where), where),
        checked_root(root, where),
        read_delay(_text(fields, "delay", where, "0m"), where),
        _flag(fields, "at-boot", where, True),
        _flag(fields, "require-signature", where, False),
        float(timeout),
        proxy,
    )


def written(settings: FollowSettings) -> bytes:
    """Return the file for settings; `parse` reads it."""
    minutes = int(settings.delay.total_seconds() // 60)
    lines = [
        "# Made by 'suture follow setup'; docs/repository.md says what each means.",
        f"url = {json.dumps(settings.url)}",
        f"ring = {json.dumps(settings.ring)}",
        f'delay = "{minutes}m"',
        f"at-boot = {json.dumps(settings.at_boot)}",
        f"require-signature = {json.dumps(settings.require_signature)}",
        f"timeout = {settings.timeout:g}",
    ]
    lines += [f"proxy = {json.dumps(settings.proxy)}"] if settings.proxy else []
    return "".join(f"{line}\n" for line in lines).encode()


def checked_url(url: str, where: str) -> str:
    """Return the address of a repository.  :raises Refusal: ``follow-settings-wrong``"""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in SCHEMES and bool(
            parts.path if parts.scheme == "file" else parts.hostname
        )
    except ValueError:
        is_right = False
    if not is_right or not url.isprintable() or " " in url:
        raise _wrong(where, f"url is not an address by https:, http: or file: {url!r}")
    return url


def checked_ring(ring: str, where: str) -> str:
    """Return the name of a ring.  :raises Refusal: ``follow-settings-wrong``"""
    if not RING.fullmatch(ring):
        raise _wrong(where, f"ring is not the name of one: {ring!r}")
    return ring


def checked_root(root: bytes, where: str) -> bytes:
    """Return root metadata that can be one.  :raises Refusal: ``follow-settings-wrong``"""
    try:
        kind = json.loads(root)["signed"]["_type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        kind = None
    if kind != "root":
        raise _wrong(where, "the root metadata is none: take 1.root.json of the repository")
    return root


def read_delay(text: str, where: str) -> timedelta:
    """Read ``30m``, ``24h`` or ``7d``.  :raises Refusal: ``follow-settings-wrong``"""
    match = _DELAY.fullmatch(text)
    if match is None:
        raise _wrong(where, f"delay is not a time such as 30m, 24h or 7d: {text!r}")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _text(fields: dict[str, Any], name: str, where: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise _wrong(where, f"{name} is missing, or no text")
    return value


def _flag(fields: dict[str, Any], name: str, where: str, default: bool) -> bool:
    value = fields.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(where, f"{name} is neither true nor false")
    return value


def _wrong(where: str, found: str) -> Refusal:
    return Refusal(FOLLOW_SETTINGS_WRONG, where, found)
