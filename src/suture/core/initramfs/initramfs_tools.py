# SPDX-License-Identifier: GPL-2.0-or-later
"""initramfs-tools(7): Debian's and Ubuntu's.

A hook below ``/etc/initramfs-tools`` runs while an image is made, a script there in the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from suture.core import trusted, units
from suture.core.initramfs.fill import INSIDE
from suture.errors import INITRAMFS_TOOLS_MISSING, Refusal
from suture.host import deployment

DIRECTORY = Path("/etc/initramfs-tools")
HOOK = "suture"

HOOK_TEXT = """\
#!/bin/sh
# Made by 'suture store initramfs'.
case $1 in
prereqs) exit 0 ;;
esac
[ -x {python} ] && [ -e {code} ] || exit 0
. /usr/share/initramfs-tools/hook-functions
copy_exec /sbin/insmod # initramfs-tools copies modprobe, but only busybox would provide insmod
exec {start} suture.core.initramfs "$version" "$DESTDIR"
"""

SCRIPT_TEXT = f"""\
#!/bin/sh
# Made by 'suture store initramfs'.
case $1 in
prereqs) exit 0 ;;
esac
for word in $(cat /proc/cmdline); do
	case $word in
	suture.disable | suture.disable=1) exit 0 ;;
	esac
done
# The kernel accepts a live patch once the transition of the previous one has ended
# (kernel/livepatch/core.c: __klp_enable_patch()). suture.service handles one that does not end.
moving() {{
	case $(cat /sys/kernel/livepatch/*/transition 2>/dev/null) in
	*1*) return 0 ;;
	esac
	return 1
}}
seconds=0
for module in /{INSIDE}/*.ko; do
	[ -e "$module" ] || continue
	while moving && [ "$seconds" -lt 30 ]; do
		sleep 1
		seconds=$((seconds + 1))
	done
	insmod "$module"
done
exit 0
"""


@dataclass(frozen=True, slots=True)
class InitramfsTools:
    """The `suture.core.initramfs.ImageMaker`.

    :ivar directory: where the administrator's hooks are.
    """

    directory: Path = DIRECTORY

    @property
    def remake(self) -> str:
        """The command that builds the images again."""
        return "update-initramfs -u"

    def is_here(self) -> bool:
        """Whether this host has initramfs-tools."""
        return self.directory.is_dir()

    def enable(self) -> None:
        """Install the hook."""
        if not self.is_here():
            raise Refusal(INITRAMFS_TOOLS_MISSING, str(self.directory), "does not exist")
        units.check_code()
        trusted.open_directory(self.directory / "scripts", make=True).__exit__()
        texts = {
            "hooks": deployment.this().fill(HOOK_TEXT),
            "scripts/init-premount": SCRIPT_TEXT,
        }
        for directory, text in texts.items():
            with trusted.open_directory(self.directory / directory, make=True) as opened:
                opened.write(HOOK, text.encode(), mode=0o755)

    def disable(self) -> None:
        """Remove the hook."""
        for directory in ("hooks", "scripts/init-premount"):
            try:
                with trusted.open_directory(self.directory / directory) as opened:
                    opened.remove(HOOK)
            except FileNotFoundError:
                continue
