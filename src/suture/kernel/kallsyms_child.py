# SPDX-License-Identifier: GPL-2.0-or-later
"""A process of its own for the search for kallsyms in an image: ``python -m
suture.kernel.kallsyms_child VMLINUX``.

vmlinux-to-elf knows every layout that the tables have had.  It needs several hundred megabytes and
seconds for it, logs as it goes, and on an image that it cannot read ends in whatever exception
comes first; none of that is to reach us.
"""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

from vmlinux_to_elf.core.architecture_detecter import ArchitectureName
from vmlinux_to_elf.core.kallsyms import KallsymsFinder

from suture import arch


class Finder(KallsymsFinder):  # type: ignore[misc]  # the library has no types
    """The library's search, told what it would otherwise spend most of its time on finding out, or
    on logging."""

    def find_linux_kernel_version(self) -> None:
        banner = re.search(rb"Linux version (\d+\.[\d.]*\d)[ -~]+", self.kernel_img)
        if banner is None:
            raise ValueError("it has no 'Linux version' banner")
        self.version_string = banner[0].decode("ascii")
        self.version_number = banner[1].decode("ascii")

    def guess_architecture(self) -> None:
        found = arch.of_elf(self.kernel_img[: arch.IDENTIFIED])
        if found is None or found.image is None:
            raise ValueError("it is for a machine that Suture does not know")
        self.architecture = ArchitectureName[found.image.kallsyms_name]
        self.elf_machine = found.machine.number
        self.is_64_bits = True
        self.is_big_endian = found.machine.order == "big"

    def extract_db_information(self, extra_info: bool = True) -> None:
        pass


def main(vmlinux: str) -> None:
    """List the symbols of an image on stdout."""
    with redirect_stdout(sys.stderr):
        finder = Finder(Path(vmlinux).read_bytes())
    # A name in the kernel's table begins with the type's letter (scripts/kallsyms.c).
    sys.stdout.writelines(
        f"{address:016x} {name[0]} {name[1:]}\n"
        for address, name in zip(finder.kernel_addresses, finder.symbol_names, strict=True)
    )


if __name__ == "__main__":
    main(sys.argv[1])
