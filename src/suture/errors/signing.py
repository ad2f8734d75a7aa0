# SPDX-License-Identifier: GPL-2.0-or-later
"""Module signatures and signing keys."""

from __future__ import annotations

from suture.errors.refusal import Kind

KEY_UNUSABLE = Kind(
    "key-unusable",
    "The file holds no private key or certificate that can sign a kernel module.",
    "Give a key in PEM form and its certificate; 'suture key new' makes both.",
)
KEY_EXISTS = Kind(
    "key-exists",
    "Without the existing key, nothing could be signed with it again, so Suture does not "
    "overwrite it.",
    "Choose another directory or name, or move the key away yourself.",
)
KEY_MISMATCH = Kind(
    "key-mismatch",
    "The certificate is for another key, so it could not verify a signature by this one.",
    "Give the certificate that was made for the key.",
)
LIBRARY_MISSING = Kind(
    "library-missing",
    "Certificates and keys are read with a compiled library, which the one-file Suture cannot "
    "contain.",
    "Install the distribution's package of cryptography for Python.",
)
SIGNATURE_MISSING = Kind(
    "signature-missing",
    "Only modules signed by a trusted key are accepted here.",
    "Sign it: 'suture sign FILE.ko --key KEY.pem --certificate CERTIFICATE.pem'.",
)
SIGNATURE_MALFORMED = Kind(
    "signature-malformed",
    "The data appended to the module is not a signature in the form that the kernel reads "
    "(include/linux/module_signature.h, PKCS #7).",
    "Get the module again, or build it again and sign it: 'suture sign FILE.ko'.",
)
SIGNATURE_UNTRUSTED = Kind(
    "signature-untrusted",
    "The module is signed, but not by a key with a trusted certificate.",
    "If you trust the signer, put the certificate into /etc/suture/trusted; otherwise do not load "
    "the module.",
)
SIGNATURE_WRONG = Kind(
    "signature-wrong",
    "The signature names a trusted key but does not match these bytes: the module was changed "
    "after it was signed.",
    "Do not load it; get the module again from whoever signed it.",
)
ALREADY_SIGNED = Kind(
    "already-signed",
    "The kernel checks only the last signature of a module.",
    "Pass --replace to replace the existing signature.",
)
