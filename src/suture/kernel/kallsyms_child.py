# SPDX-License-Identifier: GPL-2.0-or-later
"""The search for kallsyms in an image, in a process of its own: ``python -m
suture.kernel.kallsyms_child VMLINUX``.

vmlinux-to-elf knows every layout that the tables have had.  It needs several hundred megabytes and
seconds, logs as it goes, and fails with any exception on an image that it cannot read; the process
keeps all that from its caller.
"""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path

from vmlinux_to_elf.core.architecture_detecter import ArchitectureName
from vmlinux_to_elf.core.kallsyms import KallsymsFinder

from suture import arch

ALIGNED, FARTHEST = 4, 128
"""Bytes: tables begin at multiples of the first (scripts/kallsyms.c: output_label(); 8 on 64-bit
machines), and no token is so long as the second."""


class Finder(KallsymsFinder):  # type: ignore[misc]  # the library has no types
    """The library's search, without the steps that take most of its time and are known here."""

    kallsyms_token_table__offset: int

    def find_linux_kernel_version(self) -> None:
        """Set the version from the banner.

        :raises ValueError: there is no banner.
        """
        banner = re.search(rb"Linux version (\d+\.[\d.]*\d)[ -~]+", self.kernel_img)
        if banner is None:
            raise ValueError("it has no 'Linux version' banner")
        self.version_string = banner[0].decode("ascii")
        self.version_number = banner[1].decode("ascii")

    def guess_architecture(self) -> None:
        """Set the architecture from the ELF header.

        :raises ValueError: Suture does not know it.
        """
        found = arch.of_elf(self.kernel_img[: arch.IDENTIFIED])
        if found is None or found.image is None:
            raise ValueError("it is for a machine that Suture does not know")
        self.architecture = ArchitectureName[found.image.kallsyms_name]
        self.elf_machine = found.machine.number
        self.is_64_bits = True
        self.is_big_endian = found.machine.order == "big"

    def find_kallsyms_token_table(self) -> None:
        """Set the offset of ``kallsyms_token_table``.

        The library goes back from the digits to the first token, and may take the end of
        ``kallsyms_markers`` for a part of it, as in Debian's 6.1.0-53-cloud-amd64.
        ``kallsyms_token_index`` has the offset of each token, so that one place alone fits.
        """
        super().find_kallsyms_token_table()
        about = self.kallsyms_token_table__offset
        for distance in sorted(range(-FARTHEST, FARTHEST + 1, ALIGNED), key=abs):
            self.kallsyms_token_table__offset = about + distance
            with suppress(ValueError, IndexError):
                self.find_kallsyms_token_index()
                return
        self.kallsyms_token_table__offset = about

    def extract_db_information(self, extra_info: bool = True) -> None:
        """Do nothing: this step only logs."""


def main(vmlinux: str) -> None:
    """Print the symbols of an image in the form of ``/proc/kallsyms``."""
    with redirect_stdout(sys.stderr):
        finder = Finder(Path(vmlinux).read_bytes())
    # A name in the kernel's table begins with the type's letter (scripts/kallsyms.c).
    sys.stdout.writelines(
        f"{address:016x} {name[0]} {name[1:]}\n"
        for address, name in zip(finder.kernel_addresses, finder.symbol_names, strict=True)
    )


if __name__ == "__main__":
    main(sys.argv[1])
