# SPDX-License-Identifier: GPL-2.0-or-later
"""The signature at the end of a module: what it says, and whether a key that this host trusts has
made it.

The form is the kernel's: a detached PKCS #7 message (RFC 5652, in DER), ``struct module_signature``
and a magic text (``include/linux/module_signature.h``, ``kernel/module/signing.c``).  Like the
kernel, this does not look at the dates of a certificate: a clock that is wrong must not decide what
is loaded.

Trusted are the certificates in ``/etc/suture/trusted``, PEM or DER, one a file, that root alone can
have put there.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suture.errors import (
    KEY_UNUSABLE,
    LIBRARY_MISSING,
    SIGNATURE_MALFORMED,
    SIGNATURE_MISSING,
    SIGNATURE_UNTRUSTED,
    SIGNATURE_WRONG,
    Refusal,
)

if TYPE_CHECKING:
    from asn1crypto import cms
    from cryptography import x509


MAGIC = b"~Module signature appended~\n"  # MODULE_SIG_STRING
STRUCT = struct.Struct(
    ">BBBBB3xI"
)  # struct module_signature: algo, hash, id_type, signer_len, key_id_len, sig_len
PKCS7 = 2  # PKEY_ID_PKCS7; nothing else has been read since Linux 4.3

DIGESTS = ("sha256", "sha384", "sha512")
"""Those of ``crypto/asymmetric_keys/pkcs7_parser.c`` that still hold; SHA-1 and SHA-224 do not."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What is appended to a module.

    :ivar content: the module without it: what was signed.
    :ivar issuer: of the signer's certificate, a Name in DER; b"" where `key_id` names the signer.
    :ivar serial: of that certificate.
    :ivar key_id: the certificate's subject key identifier, or b"".
    :ivar digest: ``sha256``, ``sha384`` or ``sha512``.
    :ivar value: the signature itself.
    """

    content: bytes
    issuer: bytes
    serial: int
    key_id: bytes
    digest: str
    value: bytes


def read(module: bytes, where: str) -> Signature | None:
    """The signature of a module; None where it has none.

    :raises Refusal: ``signature-malformed``
    """
    if not module.endswith(MAGIC):
        return None
    end = len(module) - len(MAGIC) - STRUCT.size
    if end < 0:
        raise _malformed(where, "it is shorter than its description")
    algorithm, digest, kind, signer, key_id, size = STRUCT.unpack_from(module, end)
    if (
        kind != PKCS7 or algorithm or digest or signer or key_id
    ):  # kernel/module_signature.c: mod_check_sig()
        raise _malformed(where, f"it is of kind {kind}")
    if size > end:
        raise _malformed(where, f"it claims to be {size} bytes long")
    try:
        return _message(module[end - size : end], module[: end - size])
    except ValueError as error:
        raise _malformed(where, str(error)) from error


def check(module: bytes, where: str, certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    """Whose signature the module carries, one of `certificates`.

    :raises Refusal: ``signature-missing``, ``signature-malformed``, ``signature-untrusted``,
        ``signature-wrong``
    """
    signature = read(module, where)
    if signature is None:
        raise Refusal(SIGNATURE_MISSING, where, "it has no signature")
    signers = [certificate for certificate in certificates if made_by(signature, certificate)]
    if not signers:
        found = (
            f"it is signed by {signer(signature)}, and none of {len(certificates)} trusted "
            "certificates matches"
        )
        raise Refusal(SIGNATURE_UNTRUSTED, where, found)
    for certificate in signers:
        if _verifies(signature, certificate):
            return certificate
    raise Refusal(SIGNATURE_WRONG, where, f"it is not what {signer(signature)} signed")


def certificate(data: bytes, where: str) -> x509.Certificate:
    """One in PEM or DER.  :raises Refusal: ``key-unusable``, ``library-missing``"""
    try:
        from cryptography import x509
    except ModuleNotFoundError as error:
        raise Refusal(LIBRARY_MISSING, where, "cannot be read without cryptography") from error

    try:
        load = (
            x509.load_pem_x509_certificate
            if b"-----BEGIN" in data
            else x509.load_der_x509_certificate
        )
        return load(data)
    except ValueError as error:
        raise Refusal(KEY_UNUSABLE, where, "is not an X.509 certificate") from error


def _message(message: bytes, content: bytes) -> Signature:
    """``crypto/asymmetric_keys/pkcs7.asn1``; one signer, and the content's own digest signed
    (``CMS_NOATTR``).

    :raises ValueError:
    """
    from asn1crypto.core import Void

    signers = _signed_data(message)["signer_infos"]
    if len(signers) != 1:
        raise ValueError(f"it has {len(signers)} signers")
    (signer,) = signers
    if not isinstance(signer["signed_attrs"], Void):
        raise ValueError("it has signed attributes")
    digest = signer["digest_algorithm"]["algorithm"].native
    if digest not in DIGESTS:
        raise ValueError("Suture does not know its digest algorithm")
    value = signer["signature"].native
    who = signer["sid"].chosen
    if signer["sid"].name == "subject_key_identifier":
        return Signature(content, b"", 0, who.native, digest, value)
    issuer, serial = who["issuer"].dump(), who["serial_number"].native
    return Signature(content, issuer, serial, b"", digest, value)


def _signed_data(message: bytes) -> cms.SignedData:
    """The message as asn1crypto reads it.

    :raises ValueError:
    """
    from asn1crypto import cms

    try:
        info = cms.ContentInfo.load(message, strict=True)
        # asn1crypto reads a part only when it is asked for, and BER as well.  Writing asks for all.
        is_der = info.dump(force=True) == message
    except Exception:  # ValueError, but of some damage KeyError, TypeError or AttributeError too
        is_der = False
    if not is_der:
        raise ValueError("it is not a PKCS #7 message in DER")
    if info["content_type"].native != "signed_data":
        raise ValueError("it does not contain signed data")
    return info["content"]


def made_by(signature: Signature, candidate: x509.Certificate) -> bool:
    """Whether it says to be by the key of this certificate."""
    from cryptography import x509

    if not signature.key_id:
        return (signature.issuer, signature.serial) == (
            candidate.issuer.public_bytes(),
            candidate.serial_number,
        )
    try:
        extension = candidate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return extension.value.digest == signature.key_id


def _verifies(signature: Signature, signer: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    digest = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}[
        signature.digest
    ]
    key = signer.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature.value, signature.content, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature.value, signature.content, ec.ECDSA(digest))
        else:
            return False  # the kernel verifies no other for modules
    except InvalidSignature:
        return False
    return True


def signer(signature: Signature) -> str:
    """Who has made it, for a message."""
    if signature.key_id:
        return f"the key {signature.key_id.hex()}"
    return f"{common_name(signature.issuer) or 'a key'} (serial number {signature.serial:x})"


def common_name(issuer: bytes) -> str:
    """Of a Name in DER; "" if it has none."""
    from asn1crypto import x509

    with suppress(ValueError, TypeError):
        pairs = [pair for group in x509.Name.load(issuer).chosen for pair in group]
        return ", ".join(
            pair["value"].native for pair in pairs if pair["type"].native == "common_name"
        )
    return ""


def _malformed(where: str, found: str) -> Refusal:
    return Refusal(SIGNATURE_MALFORMED, where, found)
