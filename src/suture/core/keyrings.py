# SPDX-License-Identifier: GPL-2.0-or-later
"""The keys by which the running kernel takes modules, as far as it shows them: to root, and never
the keys themselves.

- ``/proc/keys`` names keyrings and keys, and keyctl(2) says which keys are in which keyring.
- ``/sys/firmware/efi/mok-variables`` holds the certificates that firmware and shim handed over
  (``drivers/firmware/efi/mokvar-table.c``): those of the machine's owner and of its vendor.

A signature names the issuer of the signer's certificate and its serial number, and the kernel shows
a certificate's subject and key identifier.  So for a certificate that can be read it is certain
whether it is the signer's; of the others it is if the issuer's name is their subject, which is so
for a certificate that has signed itself.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from suture.core import certificates, running, syscalls
from suture.core.running import ROOT
from suture.errors import SIGNATURE_REQUIRED, Refusal
from suture.module import signature

if TYPE_CHECKING:
    from cryptography import x509

RINGS = (".builtin_trusted_keys", ".secondary_trusted_keys", ".machine", ".platform")
"""Where ``kernel/module/signing.c: mod_verify_sig()`` looks; in the last, the firmware's own keys,
by a change of Debian's.  A machine owner key is in ``.machine``, or in ``.platform`` if shim was
told not to trust it (``security/integrity/platform_certs/keyring_handler.c``)."""

MOK_VARIABLES = Path("sys/firmware/efi/mok-variables")
CERTIFICATES = ("MokListRT", "db")

X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072").bytes_le  # EFI_CERT_X509_GUID
LIST = struct.Struct(
    "<16sIII"
)  # EFI_SIGNATURE_LIST: SignatureType, ListSize, HeaderSize, SignatureSize
OWNER = 16  # EFI_SIGNATURE_DATA: SignatureOwner, before the certificate

# security/keys/proc.c: proc_keys_show(); crypto/asymmetric_keys/asymmetric_type.c:
# asymmetric_key_describe()
_RING = re.compile(r"^([0-9a-f]{8}) .{7} .* keyring   (\.\S+): ", re.MULTILINE)
_KEY = re.compile(r"^([0-9a-f]{8}) .{7} .* asymmetri (.*): ([0-9a-f]*): X509\.", re.MULTILINE)

ENROL = "enrol its certificate: 'mokutil --import CERTIFICATE.der', and confirm at the next boot."
NO_FIRMWARE = (
    "You cannot enrol a key: this kernel was not booted by UEFI firmware, which stores such keys "
    "(mokutil(1))."
)


@dataclass(frozen=True, slots=True)
class Key:
    """One that the kernel verifies modules with.

    :ivar ring: the keyring, such as ``.machine``.
    :ivar subject: whose it is, as the kernel shortens it.
    :ivar identifier: the certificate's subject key identifier, or else its serial number, in
        hexadecimal.
    """

    ring: str
    subject: str
    identifier: str

    def __str__(self) -> str:
        return f"{self.subject} ({self.ring})"


def keys(
    root: Path = ROOT, members: Callable[[int], Sequence[int]] = syscalls.keyring
) -> tuple[Key, ...]:
    """All keys, or none if this process cannot see all of them, as for users other than root.

    :param members: from a keyring's serial number to those of its keys.
    """
    listed = running.text(root / "proc/keys")
    shown = {int(match[1], 16): (match[2], match[3]) for match in _KEY.finditer(listed)}
    rings = {match[2]: int(match[1], 16) for match in _RING.finditer(listed)}
    try:
        found = []
        for ring in RINGS:
            if ring in rings:
                found += [(ring, serial) for serial in members(rings[ring])]
    except (OSError, Refusal):
        return ()
    of_keys = [(ring, serial) for ring, serial in found if serial not in rings.values()]
    if not all(serial in shown for _, serial in of_keys):
        return ()
    return tuple(Key(ring, *shown[serial]) for ring, serial in of_keys)


def check(
    module: bytes, where: str, root: Path = ROOT, known: Sequence[Key] | None = None
) -> Key | None:
    """Check whether this kernel accepts a module's signature, before asking the kernel.

    :param known: the kernel's keys, instead of those that it shows.
    :return: the key that made it; None if only the kernel can tell
    :raises Refusal: ``signature-required`` (it has no such key), ``signature-wrong``
    """
    known = keys(root) if known is None else known
    made = None
    with suppress(Refusal):  # in a form that is none of ours
        made = signature.read(module, where)
    if made is None or not known:
        return None
    certificates = [*_of_firmware(root), *_of_suture(root)]
    by_identifier = {key.identifier: key for key in known}
    for certificate in certificates:
        key = by_identifier.get(identifier(certificate))
        if key is not None and signature.made_by(made, certificate):
            signature.check(module, where, [certificate])
            return key
    unread = set(by_identifier) - {identifier(certificate) for certificate in certificates}
    if any(_may_be(by_identifier[name], made) for name in unread):
        return None
    found = (
        f"it is signed by {signature.signer(made)}, whose key this kernel does not have, and "
        f"{demand(root)}"
    )
    evidence = [f"it has the key of {key}" for key in known]
    remedy = way_out(root, f"If you trust the signer, {ENROL}")
    raise Refusal(SIGNATURE_REQUIRED, where, found, remedy=remedy, evidence=evidence)


def demand(root: Path = ROOT) -> str:
    """Why the kernel requires signatures, for a message; "" if it does not."""
    mode = running.lockdown(root)
    if mode != "none":
        secure_boot = ", as Secure Boot is on" if running.secure_boot(root) else ""
        return f"the kernel is locked down ({mode}{secure_boot})"
    return "module.sig_enforce is in force" if running.signatures_enforced(root) else ""


def way_out(root: Path = ROOT, remedy: str = SIGNATURE_REQUIRED.remedy) -> str:
    """The remedy, if the host can follow it."""
    return remedy if running.has_uefi(root) else NO_FIRMWARE


def identifier(certificate: x509.Certificate) -> str:
    """By what the kernel tells it from others of the same subject (``x509_public_key.c:
    x509_key_preparse()``)."""
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        ).value.digest.hex()
    except (x509.ExtensionNotFound, ValueError):
        number = certificate.serial_number
        return number.to_bytes(number.bit_length() // 8 + 1, signed=True).hex()


def _may_be(key: Key, made: signature.Signature) -> bool:
    """Whether a key may have made a signature, if its certificate is not available."""
    if made.key_id:
        return key.identifier == made.key_id.hex()
    # To this keyring root may add a certificate for which one of the kernel's keys vouches, and so
    # of another issuer.
    return (
        key.ring == ".secondary_trusted_keys" or signature.common_name(made.issuer) in key.subject
    )


def _of_firmware(root: Path) -> Iterator[x509.Certificate]:
    for name in CERTIFICATES:
        for der in _listed(running.content(root / MOK_VARIABLES / name)):
            with suppress(Refusal):
                yield signature.certificate(der, name)


def _listed(data: bytes) -> Iterator[bytes]:
    """The certificates of EFI_SIGNATURE_LISTs, one after the other (UEFI specification, 32.4.1)."""
    while len(data) >= LIST.size:
        kind, size, header, each = LIST.unpack_from(data)
        if not LIST.size + header < size <= len(data) or each <= OWNER:
            return
        if kind == X509:
            for at in range(LIST.size + header, size - each + 1, each):
                yield data[at + OWNER : at + each]
        data = data[size:]


def _of_suture(root: Path) -> Sequence[x509.Certificate]:
    """Those in ``/etc/suture/trusted``: they tell of keys that came into the kernel in other
    ways."""
    try:
        directory = root / certificates.TRUSTED.relative_to("/")
        return certificates.trusted_certificates(directory, anchor=root, owner=root.stat().st_uid)
    except Refusal:
        return ()
