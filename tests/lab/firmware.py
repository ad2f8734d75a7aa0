# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine with UEFI Secure Boot, made of what Debian has for a real one: firmware, shim and GRUB.

1. The packages are downloaded and unpacked, not installed: shim's and GRUB's would change the boot
   of this host.
2. The firmware's variables are those of a PC as it is sold: it trusts Microsoft's keys, and so
   shim.
3. Certificates are put into shim's variable ``MokList``, as the blue screen does that ``mokutil
   --import`` brings up.
4. Firmware checks shim, shim checks GRUB, and GRUB has shim check the kernel, all from a FAT file
   system.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from suture.host import run
from suture.lab.qemu import Firmware
from tests.lab import debs

PACKAGES = ("grub-efi-amd64-signed", "ovmf", "shim-signed")

CODE = "usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
VARIABLES = "usr/share/OVMF/OVMF_VARS_4M.ms.fd"

DISK = {
    "EFI/BOOT/BOOTX64.EFI": "usr/lib/shim/shimx64.efi.signed",
    "EFI/BOOT/grubx64.efi": "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
}
"""What firmware starts from a disk of which it remembers nothing (UEFI specification, 3.5.1.1), and
what shim does."""

ORDERS = Path("EFI/debian/grub.cfg")
"""Where Debian's signed GRUB looks, whatever it was started from."""

SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
"""Whose variables these are (shim: include/guid.h: SHIM_LOCK_GUID)."""


@contextmanager
def secure_boot(*enrolled: Path) -> Iterator[Firmware]:
    """Firmware for the time of the block.

    :param enrolled: certificates that are machine owner keys there.
    """
    unpacked = debs.unpacked(*PACKAGES)
    with tempfile.TemporaryDirectory(prefix="suture-") as work:
        firmware = Firmware(unpacked / CODE, Path(work, "variables"), Path(work, "disk"), ORDERS)
        keys = [word for path in enrolled for word in ("--add-mok", SHIM, path)]
        command = [
            sys.executable,
            "-m",
            "virt.firmware.vars",
            "--input",
            unpacked / VARIABLES,
            *keys,
        ]
        run.check([*command, "--output", firmware.variables])
        (firmware.disk / ORDERS).parent.mkdir(parents=True)
        for name, source in DISK.items():
            (firmware.disk / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(unpacked / source, firmware.disk / name)
        yield firmware
