# SPDX-License-Identifier: GPL-2.0-or-later
"""Signatures of modules, and the keys that make them."""

from __future__ import annotations

from suture.errors.refusal import Kind

KEY_UNUSABLE = Kind(
    "key-unusable",
    "The file holds no private key or certificate that can sign a kernel module.",
    "Give a key in PEM form and its certificate; 'suture key new' makes both.",
)
KEY_EXISTS = Kind(
    "key-exists",
    "What was signed with the key that is there could never be signed again.",
    "Give another directory or name, or move the key away yourself.",
)
KEY_MISMATCH = Kind(
    "key-mismatch",
    "The certificate is for another key, so nobody could check what this one signs.",
    "Give the certificate that was made for the key.",
)
SIGNATURE_MISSING = Kind(
    "signature-missing",
    "Only a module that carries a signature by a trusted key is taken here.",
    "Sign it: 'suture sign FILE.ko --key KEY.pem --certificate CERTIFICATE.pem'.",
)
SIGNATURE_MALFORMED = Kind(
    "signature-malformed",
    "What is appended to the module is not a signature in the form that the kernel reads "
    "(include/linux/module_signature.h, PKCS #7).",
    "Get the module again, or sign it anew: 'suture sign FILE.ko'.",
)
SIGNATURE_UNTRUSTED = Kind(
    "signature-untrusted",
    "The module is signed, and by no key whose certificate is among the trusted ones.",
    "If you trust the signer, put the certificate into /etc/suture/trusted; otherwise do not load the module.",
)
SIGNATURE_WRONG = Kind(
    "signature-wrong",
    "The signature names a trusted key and does not belong to these bytes: the module was changed after it was signed.",
    "Do not load it; get the module again from who signed it.",
)
ALREADY_SIGNED = Kind(
    "already-signed",
    "The kernel looks at one signature, the last.",
    "Give --replace to put the new signature in place of the one that is there.",
)
