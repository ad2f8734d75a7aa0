# SPDX-License-Identifier: GPL-2.0-or-later
"""The keys that sign metadata: Ed25519 or ECDSA keys in PEM files, encrypted or not, and ECDSA keys
on PKCS#11 tokens.

A private key is named by its file, or as securesystemslib names those on tokens: ``hsm:KEYID`` or
``hsm:KEYID?label=TOKEN``, with the token's library in ``PYKCS11LIB``.  A passphrase or PIN is read
from ``SUTURE_KEY_PIN``.  Public keys are files too, in the form that metadata has them in, with the
key's identifier and its holder's name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import CryptoSigner, HSMSigner, Key, Signer, SSlibKey

from suture.errors import KEY_EXISTS, SIGNING_KEY_UNUSABLE, Refusal
from suture.host import files

PIN = "SUTURE_KEY_PIN"
TOKEN = "hsm:"

HOLDER = "x-suture-holder"
"""The field of a public key with the name by which people know it."""

AskSecret = Callable[[str], str]
"""From the key's name to its passphrase or PIN; "" where there is none to be had."""


@dataclass(frozen=True, slots=True)
class SigningKeyFiles:
    """The files of a new key."""

    private: Path
    public: Path
    keyid: str


def from_environment(name: str) -> str:
    """Return the passphrase or PIN that the environment has for all keys."""
    return os.environ.get(PIN, "")


def new_key(directory: Path, name: str, passphrase: str = "") -> SigningKeyFiles:
    """Make an Ed25519 key: ``NAME.key``, for its owner alone, and ``NAME.pub``.

    :param passphrase: encrypts the private key unless it is "".
    :raises Refusal: ``key-exists``, ``file-unreadable``, ``disk-full``
    """
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    for path in (private, public):
        if os.path.lexists(path):
            raise Refusal(KEY_EXISTS, str(path), "already exists")
    signer = CryptoSigner.generate_ed25519()
    pem = signer.private_bytes
    if passphrase:
        key = serialization.load_pem_private_key(pem, None)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase.encode()),
        )
    files.write_atomic(private, pem, mode=0o600)
    write_public(public, signer.public_key, name)
    return SigningKeyFiles(private, public, signer.public_key.keyid)


def export_public(name: str, to: Path, holder: str, ask: AskSecret = from_environment) -> Key:
    """Write the public key of a private one, such as one on a token, to a file.

    :raises Refusal: as `signer_of`, ``key-exists``
    """
    if os.path.lexists(to):
        raise Refusal(KEY_EXISTS, str(to), "already exists")
    key = signer_of(name, ask).public_key
    write_public(to, key, holder)
    return key


def write_public(path: Path, key: Key, holder: str) -> None:
    """Write a public key.  :raises Refusal: ``file-unreadable``, ``disk-full``"""
    fields = {"keyid": key.keyid, HOLDER: holder, **key.to_dict()}
    files.write_atomic(path, json.dumps(fields, indent=1, sort_keys=True).encode() + b"\n")


def read_public(path: Path) -> Key:
    """Read a public key, with its holder's name as a field of its own.

    :raises Refusal: ``signing-key-unusable``, ``file-unreadable``
    """
    try:
        fields: dict[str, Any] = json.loads(files.read_bytes(path))
        keyid = fields.pop("keyid")
        found = Key.from_dict(keyid, fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _unusable(str(path), "is not the public key of a role (KEY.pub)") from None
    if not isinstance(found, SSlibKey) or not _is_whole(found):
        raise _unusable(str(path), "is of a kind that does not sign metadata")
    # The identifier is the hash of the rest, so that no key can stand under another's.
    if SSlibKey.from_crypto(found._crypto_key(), scheme=found.scheme).keyid != keyid:
        raise _unusable(str(path), "its identifier is not that of the key")
    return found


def holder_of(key: Key) -> str:
    """Return the name by which people know a key, or the beginning of its identifier."""
    holder = key.unrecognized_fields.get(HOLDER)
    return holder if isinstance(holder, str) and holder else key.keyid[:12]


def signer_of(name: str, ask: AskSecret = from_environment) -> Signer:
    """Return what signs with a private key.

    :param name: its file, or ``hsm:KEYID?label=TOKEN``.
    :raises Refusal: ``signing-key-unusable``, ``file-unreadable``
    """
    return _on_token(name, ask) if name.startswith(TOKEN) else _in_file(Path(name), ask)


def _in_file(path: Path, ask: AskSecret) -> Signer:
    content = files.read_bytes(path)
    is_encrypted = b"ENCRYPTED" in content
    secret = ask(path.name) if is_encrypted else ""
    if is_encrypted and not secret:
        raise _unusable(str(path), f"has a passphrase, and {PIN} is not set")
    try:
        private = serialization.load_pem_private_key(content, secret.encode() or None)
        return CryptoSigner(private)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = "is not a private key that signs metadata, or its passphrase is another one"
        raise _unusable(str(path), found) from None


def _on_token(name: str, ask: AskSecret) -> Signer:
    words, _, query = name.removeprefix(TOKEN).partition("?")
    if words and not words.isdigit():
        raise _unusable(name, "its KEYID is not a number: hsm:KEYID?label=TOKEN")
    if not os.environ.get("PYKCS11LIB"):
        raise _unusable(name, "PYKCS11LIB does not name the library of the token")

    def secret(what: str) -> str:
        return ask(name)

    try:
        label = _label(query)
        uri, public = HSMSigner.import_(int(words or HSMSigner.SCHEME_KEYID), label, secret)
        return HSMSigner.from_priv_key_uri(uri, public, secret)
    except UnsupportedLibraryError:
        remedy = "Install python-pkcs11 in the environment of this Suture."
        raise Refusal(SIGNING_KEY_UNUSABLE, name, "needs python-pkcs11", remedy=remedy) from None
    except (ValueError, RuntimeError, OSError) as error:
        raise _unusable(name, str(error) or type(error).__name__) from error
    except Exception as error:
        # Those of python-pkcs11 have no common base but Exception.
        if type(error).__module__.partition(".")[0] != "pkcs11":
            raise
        raise _unusable(name, f"the token says {type(error).__name__}") from error


def _label(query: str) -> str | None:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(query)).get("label")


def _is_whole(key: SSlibKey) -> bool:
    """Whether the key's value can be read."""
    try:
        key._crypto_key()
    except (ValueError, KeyError, UnsupportedAlgorithm, TypeError, AttributeError):
        return False
    return True


def _unusable(where: str, found: str) -> Refusal:
    return Refusal(SIGNING_KEY_UNUSABLE, where, found)
