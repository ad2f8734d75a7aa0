# SPDX-License-Identifier: GPL-2.0-or-later
"""The group ``suture repo``, and what its commands share."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.commands import PATH, argument, group, option
from suture.cli.output import Human, in_parts, table
from suture.host.terminal import printable

if TYPE_CHECKING:
    from securesystemslib.signer import Key, Signer

    from suture.repo.settling import Settlement
    from suture.repo.tree import RepositoryTree

repo = group(
    "repo",
    "Publish live patches in a signed repository that hosts follow.",
    ("suture repo publish patches fix.ko --key release.key --key online.key", "vouch for one"),
    ("suture repo promote patches fix --ring canary --key ring.key --key online.key", "choose it"),
    ("suture repo status patches", "show roles, what waits for signatures, and what rings chose"),
)

tree_argument = argument(
    "directory", metavar="DIRECTORY", type=PATH, help="The repository's directory."
)

key_option = option(
    "--key",
    "-k",
    "key",
    metavar="KEY",
    multiple=True,
    help="Sign with this private key: a PEM file, or hsm:KEYID?label=TOKEN with the token's "
    "library in PYKCS11LIB. Can be repeated. SUTURE_KEY_PIN holds its passphrase or PIN.",
)

kernel_option = option(
    "--kernel",
    metavar="RELEASE",
    help="The kernel; by default the only one for which the live patch is published.",
)

ring_option = option("--ring", metavar="NAME", required=True, help="The ring.")


def tree_of(directory: Path) -> RepositoryTree:
    """Return a repository by its directory."""
    from suture.repo.tree import RepositoryTree

    return RepositoryTree(directory)


def signers_of(names: tuple[str, ...]) -> list[Signer]:
    """Return the signers that the command line names."""
    from suture.repo.keys import signer_of

    return [signer_of(name, secret) for name in names]


def public_keys(names: tuple[str, ...]) -> tuple[Key, ...]:
    """Read the files of public keys, each key once."""
    from suture.repo.keys import read_public

    found = [read_public(Path(name)) for name in names]
    return tuple({key.keyid: key for key in found}.values())


def secret(name: str) -> str:
    """Return a key's passphrase or PIN: from the environment, or from whoever sits there."""
    from suture.repo.keys import from_environment

    known = from_environment(name)
    if known or not sys.stdin.isatty():
        return known
    asked = click.prompt(f"Passphrase or PIN of {printable(name)}", hide_input=True, err=True)
    return str(asked)


def settlement_document(done: Settlement) -> dict[str, object]:
    """What was signed and published, for ``--json``."""
    return {
        "published": dict(done.published),
        "waiting": done.waiting,
        "needs_online": done.needs_online,
    }


def settlement_lines(done: Settlement) -> Human:
    """What was signed and published, for people."""
    parts: list[Human] = []
    if done.published:
        versions = (f"{role} {version}" for role, version in done.published.items())
        parts.append(f"Published: {', '.join(versions)}.")
    if done.waiting:
        rows = [
            (
                one.role,
                str(one.version),
                ", ".join(one.signed) or "nobody",
                f"{one.missing} of {', '.join(one.unsigned)}" if one.missing else "",
            )
            for one in done.waiting
        ]
        parts += ["Staged:", table(("role", "version", "signed by", "still needs"), rows)]
    if done.needs_online:
        parts.append("To publish what has its signatures, sign with the online key as well.")
    return in_parts(*(parts or ["Nothing to sign or publish."]))


def moment_of(text: str | None, option_name: str) -> datetime | None:
    """Read a time from the command line: ISO 8601, or ``2h`` and ``3d`` from now."""
    if text is None:
        return None
    if match := re.fullmatch(r"([0-9]{1,6})([mhd])", text):
        unit = {"m": "minutes", "h": "hours", "d": "days"}[match[2]]
        return datetime.now(UTC) + timedelta(**{unit: int(match[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a time such as 2h, 3d or 2027-01-31T12:00"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
