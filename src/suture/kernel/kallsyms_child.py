# SPDX-License-Identifier: GPL-2.0-or-later
"""A process of its own for the search for kallsyms in an image: ``python -m suture.kernel.kallsyms_child VMLINUX``.

vmlinux-to-elf knows every layout that the tables have had.  It needs several hundred megabytes and seconds for it, logs
as it goes, and on an image that it cannot read ends in whatever exception comes first; none of that is to reach us.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

from vmlinux_to_elf.core.kallsyms import KallsymsFinder


def main(vmlinux: str) -> None:
    with redirect_stdout(sys.stderr):
        finder = KallsymsFinder(Path(vmlinux).read_bytes(), 64)
    # A name in the kernel's table begins with the type's letter (scripts/kallsyms.c).
    sys.stdout.writelines(
        f"{address:016x} {name[0]} {name[1:]}\n"
        for address, name in zip(finder.kernel_addresses, finder.symbol_names, strict=True)
    )


if __name__ == "__main__":
    main(sys.argv[1])
