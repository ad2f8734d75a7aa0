# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture uname``"""

from __future__ import annotations

from suture.cli.commands import command
from suture.cli.output import emit, json_option

EXAMPLES = (
    ("suture uname", "print the kernel's release, and what live patches fix in it"),
    ("suture uname --json | jq -r .cves[]", "print one CVE number a line"),
)


@command("uname", examples=EXAMPLES)
@json_option
def uname() -> None:
    """Print the running kernel's release, as 'uname -r' does, and the CVE numbers that live patches
    in force fix in it, all in one line.

    A number is there while all tasks run the new code. For programs that look for vulnerable
    kernels by their release: see also 'suture vex'.
    """
    from suture.core.fixed import fixed
    from suture.core.status import status

    found = status()
    cves = tuple(fixed(found))
    emit({"release": found.release, "cves": cves}, " ".join([found.release, *cves]))
