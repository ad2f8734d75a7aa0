# SPDX-License-Identifier: GPL-2.0-or-later
"""What identifies a module's file: its size and digest, the build ID that the running kernel shows
of it, who signed it, and the Suture that made it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from suture.elf.object import ObjectFile
from suture.errors import Refusal
from suture.module import modinfo, notes, signature


@dataclass(frozen=True, slots=True)
class SignedBy:
    """What a signature says of itself; nothing here checks it ('suture load' and the kernel do).

    :ivar signer: the signer's name with the serial number of the certificate, or the key; "" where
        the signature cannot be read.
    :ivar digest: the hash algorithm, such as sha256; "" as well.
    :ivar problem: why the signature cannot be read; "" where it can.
    """

    signer: str = ""
    digest: str = ""
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"cannot be read: {self.problem}"
        return f"{self.digest}, by {self.signer}; not checked here"


@dataclass(frozen=True, slots=True)
class ModuleIdentity:
    """A module's file.

    :ivar size: bytes, with the signature.
    :ivar sha256: of the whole file, hexadecimal, as the journal has it ('suture info').
    :ivar build_id: the linker's hash of its contents; "" where it has none.
    :ivar signature: None for an unsigned file.
    :ivar suture: the version of Suture that made it; "" where it does not say.
    """

    size: int
    sha256: str
    build_id: str
    signature: SignedBy | None
    suture: str


def identify(data: bytes, module: ObjectFile, where: str) -> ModuleIdentity:
    """Return what identifies a module.

    :param data: the file; `module`: what was read of it.
    """
    said = (value for key, value in modinfo.entries(module) if key == modinfo.SUTURE)
    return ModuleIdentity(
        len(data),
        hashlib.sha256(data).hexdigest(),
        notes.build_id_of(module),
        _signed_by(data, where),
        next(said, ""),
    )


def _signed_by(data: bytes, where: str) -> SignedBy | None:
    try:
        found = signature.read(data, where)
    except Refusal as refusal:
        return SignedBy(problem=refusal.found)
    return None if found is None else SignedBy(signature.signer(found), found.digest)
