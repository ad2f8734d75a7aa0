# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture key new``, ``suture key show`` and ``suture sign``"""

from __future__ import annotations

import os
from pathlib import Path

from suture.cli import completion
from suture.cli.commands import PATH, argument, command, group, option
from suture.cli.output import emit, json_option
from suture.host.terminal import printable

SIGN_EXAMPLES = (
    (
        "suture sign fix.ko --key suture.key --certificate suture.pem",
        "sign in place; 'modinfo fix.ko' then shows the signer",
    ),
    (
        "suture sign fix.ko --key 'pkcs11:token=t;object=signing' --certificate suture.pem",
        "sign with a key on a token",
    ),
)

key = group(
    "key",
    "Make and show keys that sign live patch modules.",
    ("suture key new", "make suture.key, suture.pem and suture.der in the current directory"),
    ("suture key show suture.pem", "show its owner and whether the kernel trusts it"),
)

ENROL = """\
With Secure Boot, a kernel accepts modules signed with this key once its
certificate is enrolled. On each host, run this as root and choose a password:

  mokutil --import {der}

At the next boot, press a key within ten seconds when the blue screen appears,
choose Enroll MOK, Continue, Yes, and enter the password. After that boot,
'suture key show {der}', run as root, shows that the kernel has the certificate.

For 'suture load --require-signature' and 'suture install --require-signature',
on each host:

  install -D -m 644 {certificate} /etc/suture/trusted/{name}"""


@key.command("new")
@argument(
    "directory", metavar="DIRECTORY", type=PATH, default=Path(), help="Where to put the files."
)
@option("--name", metavar="NAME", default="suture", help="The base name of the files.")
@option("--common-name", metavar="NAME", help="The signer's name, as 'modinfo' shows it.")
@json_option
def new(directory: Path, name: str, common_name: str | None) -> None:
    """Make a private key for signing modules, and its certificate.

    The key is a 4096-bit RSA key that only its owner can read; if KBUILD_SIGN_PIN is set, it is
    encrypted with that passphrase. The certificate is for code signing, and marked so that shim
    accepts it for modules only.
    """
    from suture.module.sign import new_key

    pair = new_key(directory, name, common_name or f"Live patches of {os.uname().nodename}")
    text = ENROL.format(der=pair.der, certificate=pair.certificate, name=pair.certificate.name)
    emit(
        pair,
        lambda: printable(
            f"{pair.key} is the private key; keep it off the hosts that load modules.\n\n{text}"
        ),
    )


@key.command("show")
@argument(
    "certificate",
    metavar="FILE",
    type=PATH,
    shell_complete=completion.certificates,
    help="A certificate, PEM or DER.",
)
@json_option
def show(certificate: Path) -> None:
    """Show a certificate's owner, the identifier of its key, and whether the running kernel trusts
    it.

    Only root can see all keys of the running kernel.
    """
    from suture.module.sign import describe

    fields = describe(certificate) | {"kernel": _in_kernel(certificate)}
    emit(
        fields, lambda: printable("\n".join(f"{name:15} {value}" for name, value in fields.items()))
    )


def _in_kernel(certificate: Path) -> str:
    """Whether the running kernel accepts modules signed with the certificate's key."""
    from suture.core import keyrings
    from suture.host import files
    from suture.module import signature

    known = keyrings.keys()
    name = keyrings.identifier(
        signature.certificate(files.read_bytes(certificate), str(certificate))
    )
    rings = [key.ring for key in known if key.identifier == name]
    if rings:
        return f"accepts modules that it signed ({', '.join(rings)})"
    return "does not have it" if known else "unknown: only root sees all of its keys"


@command("sign", examples=SIGN_EXAMPLES)
@argument(
    "module",
    metavar="FILE.ko",
    type=PATH,
    shell_complete=completion.modules,
    help="The module to sign.",
)
@option(
    "--key",
    metavar="KEY",
    required=True,
    help="The private key: a PEM file or a pkcs11: URI. KBUILD_SIGN_PIN holds its passphrase.",
)
@option(
    "--certificate",
    metavar="FILE",
    type=PATH,
    required=True,
    help="The key's certificate, PEM or DER.",
)
@option(
    "--output",
    "-o",
    "to",
    metavar="OUT.ko",
    type=PATH,
    help="The signed file; by default, FILE.ko is signed in place.",
)
@option("--replace", is_flag=True, help="Replace an existing signature.")
@json_option
def sign(module: Path, key: str, certificate: Path, to: Path | None, replace: bool) -> None:
    """Sign a module with the kind of signature that the kernel checks at load."""
    from suture.module.sign import Signer, sign_file

    path = sign_file(module, Signer(key, certificate), output=to, replace=replace)
    emit({"module": path}, f"{printable(str(path))} is signed.")
