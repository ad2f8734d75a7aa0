# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture vex``"""

from __future__ import annotations

import json as json_format
from pathlib import Path

from suture.cli.commands import PATH, command, option
from suture.cli.output import emit, json_option

EXAMPLES = (
    ("suture vex", "print what live patches in force fix, as an OpenVEX document"),
    (
        "suture vex -o host.vex.json && trivy rootfs --vex host.vex.json /",
        "tell a scanner which findings a live patch has mended",
    ),
)


@command("vex", examples=EXAMPLES)
@option("-o", "--output", metavar="FILE", type=PATH, help="Write it to this file instead.")
@option("--author", metavar="NAME", help="Who says so; by default this host's name.")
@json_option
def vex(output: Path | None, author: str | None) -> None:
    """Say in OpenVEX (a format for scanners of vulnerabilities) which CVE numbers live patches in
    force fix in the running kernel.

    The product is the kernel's package, as a package URL. What no live patch in force names is not
    in the document. It says what is true now: make it again after each change.
    """
    import platform
    from datetime import UTC, datetime

    from suture.core.fixed import openvex
    from suture.core.running import ROOT, text
    from suture.core.status import status
    from suture.host import distributions
    from suture.host.files import write_atomic

    found = status()
    product = distributions.here().kernel_url(found.release, text(ROOT / "proc/version"))
    document = openvex(found, product, author or platform.node(), datetime.now(UTC))
    written = json_format.dumps(document, indent=2)
    if output is None:
        emit(document, written)
    else:
        write_atomic(output, f"{written}\n".encode())
        emit({"file": output}, f"Wrote {output}.")
