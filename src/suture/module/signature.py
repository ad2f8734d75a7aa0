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
    SIGNATURE_MALFORMED,
    SIGNATURE_MISSING,
    SIGNATURE_UNTRUSTED,
    SIGNATURE_WRONG,
    Refusal,
)

if TYPE_CHECKING:
    from cryptography import x509


MAGIC = b"~Module signature appended~\n"  # MODULE_SIG_STRING
STRUCT = struct.Struct(
    ">BBBBB3xI"
)  # struct module_signature: algo, hash, id_type, signer_len, key_id_len, sig_len
PKCS7 = 2  # PKEY_ID_PKCS7; nothing else has been read since Linux 4.3

SIGNED_DATA = bytes.fromhex("2a864886f70d010702")  # 1.2.840.113549.1.7.2
COMMON_NAME = bytes.fromhex("550403")  # 2.5.4.3

DIGESTS = {
    bytes.fromhex("608648016503040201"): "sha256",  # 2.16.840.1.101.3.4.2.1
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}
"""Those of ``crypto/asymmetric_keys/pkcs7_parser.c`` that still hold; SHA-1 and SHA-224 do not."""

INTEGER, OCTET_STRING, OID, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x30, 0x31  # X.690, universal tags
CONTEXT_0, CONTEXT_0_PRIMITIVE = 0xA0, 0x80


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
    except (ValueError, IndexError) as error:
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
    """One in PEM or DER.  :raises Refusal: ``key-unusable``"""
    from cryptography import x509

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
    (``CMS_NOATTR``)."""
    [(_, info)] = _elements(message, SEQUENCE)
    (_, kind), (_, wrapped) = _elements(info, OID, CONTEXT_0)
    if kind != SIGNED_DATA:
        raise ValueError("it does not contain signed data")
    [(_, signed)] = _elements(wrapped, SEQUENCE)
    *_, (_, infos) = _elements(signed)
    [(_, signer)] = _elements(infos, SEQUENCE)
    _, (name, who), (_, digest), (tag, _), *rest = _elements(signer)
    if tag == CONTEXT_0:
        raise ValueError("it has signed attributes")
    [(tag, value), *_] = rest
    [(_, algorithm), *_] = _elements(digest)
    if tag != OCTET_STRING or algorithm not in DIGESTS:
        raise ValueError("Suture does not know its digest algorithm")
    if name == CONTEXT_0_PRIMITIVE:
        return Signature(content, b"", 0, who, DIGESTS[algorithm], value)
    issuer = who[: _end(who, 0)]
    [(_, serial)] = _elements(who[len(issuer) :], INTEGER)
    return Signature(
        content, issuer, int.from_bytes(serial, signed=True), b"", DIGESTS[algorithm], value
    )


def _elements(data: bytes, *tags: int) -> list[tuple[int, bytes]]:
    """Tag and content of each element, one after the other (X.690, definite lengths).

    :param tags: what they have to be, if given.
    :raises ValueError:
    """
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        end = _end(data, at)
        header = 2 + (data[at + 1] & 0x7F if data[at + 1] & 0x80 else 0)
        found.append((data[at], data[at + header : end]))
        at = end
    if tags and tuple(tag for tag, _ in found) != tags:
        raise ValueError("it is not a PKCS #7 message")
    return found


def _end(data: bytes, at: int) -> int:
    """Where the element that begins at `at` ends."""
    if at + 2 > len(data):
        raise ValueError("it is truncated")
    length, header = data[at + 1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise ValueError("a length is not in definite form")
        length, header = int.from_bytes(data[at + 2 : at + 2 + count]), 2 + count
    if at + header + length > len(data):
        raise ValueError("it is truncated")
    return at + header + length


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
    names: list[str] = []
    with suppress(ValueError, IndexError):
        for _, group in _elements(_elements(issuer)[0][1]):
            for _, pair in _elements(group):
                (_, kind), (_, value) = _elements(pair)
                if kind == COMMON_NAME:
                    names.append(value.decode(errors="replace"))
    return ", ".join(names)


def _malformed(where: str, found: str) -> Refusal:
    return Refusal(SIGNATURE_MALFORMED, where, found)
