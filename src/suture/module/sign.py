# SPDX-License-Identifier: GPL-2.0-or-later
"""Sign modules in the kernel's own form, as its ``scripts/sign-file.c`` does, and make the keys for
it.

The private key is in PEM form, or on a token: a ``pkcs11:`` URI (RFC 7512) is handed to OpenSSL's
engine of that name. A passphrase or PIN is taken from ``KBUILD_SIGN_PIN``, as kbuild does.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from suture.errors import ALREADY_SIGNED, KEY_EXISTS, KEY_MISMATCH, KEY_UNUSABLE, Refusal
from suture.host import files, run
from suture.module import signature
from suture.module.signature import MAGIC, PKCS7, STRUCT

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey

TOKEN = "pkcs11:"
PIN = "KBUILD_SIGN_PIN"

BITS = 4096
"""Of a new RSA key, as in the kernel's own ``certs/default_x509.genkey``."""

YEARS = 10

MODULE_SIGNING_ONLY = "1.3.6.1.4.1.2312.16.1.2"
"""An extended key usage by which shim takes an enrolled key for modules and never for boot loaders
(shim's ``MokListRT``; distributions put it into the keys they make)."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and its certificate.

    :ivar key: the file of the key, or a ``pkcs11:`` URI.
    :ivar certificate: the file of the certificate, PEM or DER.
    """

    key: str
    certificate: Path


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The files of a new key: the private key, and the certificate in both forms."""

    key: Path
    certificate: Path
    der: Path


def sign(module: bytes, where: str, signer: Signer, *, replace: bool = False) -> bytes:
    """The module with a signature appended.

    :param replace: take a signature away that is there.
    :raises Refusal: ``already-signed``, ``key-unusable``, ``key-mismatch``,
        ``signature-malformed``, ``file-unreadable``; with a token ``command-failed``,
        ``tool-missing``
    """
    there = signature.read(module, where)
    if there is not None and not replace:
        raise Refusal(ALREADY_SIGNED, where, "it already has a signature")
    content = module if there is None else there.content
    certificate = signature.certificate(
        files.read_bytes(signer.certificate), str(signer.certificate)
    )
    if signer.key.startswith(TOKEN):
        message = _signed_by_token(content, signer, certificate)
    else:
        message = _signed_by_file(content, Path(signer.key), certificate)
    signed = content + message + STRUCT.pack(0, 0, PKCS7, 0, 0, len(message)) + MAGIC
    signature.check(signed, where, [certificate])  # whoever signs finds out first
    return signed


def sign_file(
    path: Path, signer: Signer, *, output: Path | None = None, replace: bool = False
) -> Path:
    """`sign` for a file, in its place or to `output`; returns where.

    :raises Refusal: as `sign`, ``disk-full``
    """
    to = output or path
    files.check_output(to)
    files.write_atomic(to, sign(files.read_bytes(path), str(path), signer, replace=replace))
    return to


def new_key(directory: Path, name: str, common_name: str) -> KeyPair:
    """Make a private key, and a certificate that it has signed itself.

    :param name: of the files, without an ending.
    :raises Refusal: ``key-exists``, ``file-unreadable``, ``disk-full``
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    pair = KeyPair(directory / f"{name}.key", directory / f"{name}.pem", directory / f"{name}.der")
    for path in (pair.key, pair.certificate, pair.der):
        if os.path.lexists(path):
            raise Refusal(KEY_EXISTS, str(path), "already exists")
    private = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    pin = os.environ.get(PIN, "").encode()
    encryption = serialization.BestAvailableEncryption(pin) if pin else serialization.NoEncryption()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    certificate = _self_signed(private, common_name)
    files.write_atomic(pair.key, pem, mode=0o600)
    files.write_atomic(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    files.write_atomic(pair.der, certificate.public_bytes(serialization.Encoding.DER))
    return pair


def describe(path: Path) -> dict[str, str]:
    """What there is to know of a certificate, with the kernel's name of its key (``sig_key`` of
    modinfo(8) is the serial number).

    :raises Refusal: ``key-unusable``, ``file-unreadable``
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    certificate = signature.certificate(files.read_bytes(path), str(path))
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        key_id = extension.value.digest.hex()
    except x509.ExtensionNotFound:
        key_id = ""
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "key": key_id,
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "until": _end(certificate).date().isoformat(),
    }


def _end(certificate: x509.Certificate) -> datetime.datetime:
    """When a certificate ends, in UTC; before cryptography 42, that is not said in the time."""
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc
    return certificate.not_valid_after


def _self_signed(private: RSAPrivateKey, common_name: str) -> x509.Certificate:
    """With the extensions of the kernel's ``certs/default_x509.genkey``."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    public = private.public_key()
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    purposes = [ExtendedKeyUsageOID.CODE_SIGNING, x509.ObjectIdentifier(MODULE_SIGNING_ONLY)]
    key_id = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(key_id, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False
        )
        .sign(private, hashes.SHA256())
    )


def _signed_by_file(content: bytes, path: Path, certificate: x509.Certificate) -> bytes:
    """A PKCS #7 message with no attributes, no certificates and no content, as sign-file.c asks
    OpenSSL for."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.serialization import pkcs7

    private = _private_key(path)
    if _written(private.public_key()) != _written(certificate.public_key()):
        raise Refusal(
            KEY_MISMATCH,
            str(path),
            f"is not the key that the certificate of {certificate.subject.rfc4514_string()} is for",
        )
    options = [
        pkcs7.PKCS7Options.Binary,
        pkcs7.PKCS7Options.DetachedSignature,
        pkcs7.PKCS7Options.NoAttributes,
        pkcs7.PKCS7Options.NoCerts,
    ]
    builder = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(content)
        .add_signer(certificate, private, hashes.SHA256())
    )
    return builder.sign(serialization.Encoding.DER, options)


def _written(key: CertificatePublicKeyTypes) -> bytes:
    """A public key as it stands in a certificate; before cryptography 40, keys cannot be
    compared."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _private_key(path: Path) -> PrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    data = files.read_bytes(path)
    pin = os.environ.get(PIN, "").encode() or None
    try:
        private = serialization.load_pem_private_key(data, pin if b"ENCRYPTED" in data else None)
    except TypeError:
        raise Refusal(
            KEY_UNUSABLE,
            str(path),
            "has a passphrase",
            remedy=f"Give the passphrase in the variable {PIN}.",
        ) from None
    except ValueError as error:
        raise Refusal(
            KEY_UNUSABLE, str(path), "is not a private key, or the passphrase is wrong"
        ) from error
    if not isinstance(private, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise Refusal(KEY_UNUSABLE, str(path), "is neither an RSA nor an elliptic curve key")
    return private


def _signed_by_token(content: bytes, signer: Signer, certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    with files.temporary_directory() as work:
        module, chosen, made = work / "module", work / "certificate.pem", work / "message"
        module.write_bytes(content)
        chosen.write_bytes(certificate.public_bytes(Encoding.PEM))
        command = [
            "openssl",
            "cms",
            "-sign",
            "-engine",
            "pkcs11",
            "-keyform",
            "engine",
            "-inkey",
            signer.key,
        ]
        command += [
            "-signer",
            str(chosen),
            "-md",
            "sha256",
            "-binary",
            "-noattr",
            "-nocerts",
            "-nosmimecap",
        ]
        command += ["-passin", f"env:{PIN}"] if PIN in os.environ else []
        run.check(
            [*command, "-in", module, "-outform", "DER", "-out", made],
            where="the token",
            kind=KEY_UNUSABLE,
        )
        return made.read_bytes()
