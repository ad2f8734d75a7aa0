# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture key new``, ``suture key show`` and ``suture sign``"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import typer

from suture.cli.commands import add, group
from suture.cli.output import Json, emit
from suture.host.terminal import printable

SIGN_EXAMPLES = (
    (
        "suture sign fix.ko --key suture.key --certificate suture.pem",
        "in place, for 'modinfo fix.ko' to show",
    ),
    (
        "suture sign fix.ko --key 'pkcs11:token=t;object=signing' --certificate suture.pem",
        "with a key on a token",
    ),
)

app = group(
    "key",
    "Make and show keys that sign live patch modules.",
    ("suture key new", "suture.key, suture.pem and suture.der, here"),
    ("suture key show suture.pem", "whose it is, and whether the kernel has it"),
)

Key = Annotated[
    str,
    typer.Option(
        "--key",
        metavar="KEY",
        help="A private key in PEM form, or a pkcs11: URI; KBUILD_SIGN_PIN has its passphrase.",
    ),
]
Certificate = Annotated[
    Path,
    typer.Option(
        "--certificate", metavar="FILE", readable=False, help="The key's certificate, PEM or DER."
    ),
]

ENROL = """\
A kernel with Secure Boot takes modules that it signed once the certificate is
enrolled. On each host, as root, choose a password for the next boot, and give
it there in the blue screen (a key within ten seconds; Enroll MOK, Continue,
Yes):

  mokutil --import {der}

After that boot, 'suture key show {der}' says, to root, that the kernel has it.

For 'suture load --require-signature' and 'suture install --require-signature',
on each host:

  install -D -m 644 {certificate} /etc/suture/trusted/{name}"""


def new(
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", readable=False, help="Where to put the files.")
    ] = Path(),
    name: Annotated[str, typer.Option("--name", help="Of the files.")] = "suture",
    common_name: Annotated[
        str | None, typer.Option("--common-name", help="Whom 'modinfo' shows as the signer.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a private key that signs modules, and its certificate.

    The key is an RSA key of 4096 bits, readable by its owner alone; with KBUILD_SIGN_PIN set, it is
    encrypted with that. The certificate is good for code signing, and marked so that shim takes it
    for modules only.
    """
    from suture.module.sign import new_key

    pair = new_key(directory, name, common_name or f"Live patches of {socket.gethostname()}")
    text = ENROL.format(der=pair.der, certificate=pair.certificate, name=pair.certificate.name)
    emit(
        pair,
        lambda: printable(
            f"{pair.key} is the private key; keep it off the hosts that load.\n\n{text}"
        ),
    )


def show(
    certificate: Annotated[
        Path, typer.Argument(metavar="FILE", readable=False, help="A certificate, PEM or DER.")
    ],
    json: Json = False,
) -> None:
    """Show whose a certificate is, by what the kernel knows its key, and whether the running kernel
    has it.

    To see what the running kernel has takes root.
    """
    from suture.module.sign import describe

    fields = describe(certificate) | {"kernel": _in_kernel(certificate)}
    emit(
        fields, lambda: printable("\n".join(f"{name:15} {value}" for name, value in fields.items()))
    )


def _in_kernel(certificate: Path) -> str:
    """Whether the running kernel takes what it signed."""
    from suture.core import keyrings
    from suture.host import files
    from suture.module import signature

    known = keyrings.keys()
    name = keyrings.identifier(
        signature.certificate(files.read_bytes(certificate), str(certificate))
    )
    rings = [key.ring for key in known if key.identifier == name]
    if rings:
        return f"takes modules that it signed ({', '.join(rings)})"
    return "does not have it" if known else "does not show all its keys here; it does to root"


def sign(
    module: Annotated[
        Path, typer.Argument(metavar="FILE.ko", readable=False, help="The module to sign.")
    ],
    key: Key,
    certificate: Certificate,
    to: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT.ko", readable=False, help="By default in place."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take away a signature that is there.")
    ] = False,
    json: Json = False,
) -> None:
    """Sign a module in the form that the kernel checks when it loads it."""
    from suture.module.sign import Signer, sign_file

    path = sign_file(module, Signer(key, certificate), output=to, replace=replace)
    emit({"module": path}, f"{printable(str(path))} is signed.")


add(app, "new", new)
add(app, "show", show)
