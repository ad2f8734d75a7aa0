# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches that are in force before the root file system is mounted, by hooks of
initramfs-tools(7).

A hook puts what boots of a kernel would load into that kernel's initramfs, shown to be what was
installed; a script there loads it, in order.  Neither Python nor ``/var`` is there then, so a
failure cannot be written down: one that brings the host down early does so at each boot, until
``suture.disable=1`` on the kernel command line skips it. Therefore only what an earlier boot came
up with is taken along.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from suture.core import trusted, units
from suture.core.store import Entry, Store, in_order
from suture.errors import INITRAMFS_TOOLS_MISSING, Refusal

TOOLS = Path("/etc/initramfs-tools")
HOOK = "suture"
INSIDE = "usr/lib/suture"

HOOK_TEXT = """\
#!/bin/sh
# Made by 'suture store initramfs'.
case $1 in
prereqs) exit 0 ;;
esac
. /usr/share/initramfs-tools/hook-functions
copy_exec /sbin/insmod # initramfs-tools takes modprobe along, and only a busybox would bring insmod
exec {python} -I -m suture.core.initramfs "$version" "$DESTDIR"
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
# The kernel takes the next one when the transition of the one before is over
# (kernel/livepatch/core.c: __klp_enable_patch()). One that does not end is left to suture.service.
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


def enable(tools: Path = TOOLS) -> None:
    """Let initramfs images that are made from now on have what is kept.

    :raises Refusal: ``initramfs-tools-missing``, ``path-untrusted``, ``store-unwritable``
    """
    if not tools.is_dir():
        raise Refusal(INITRAMFS_TOOLS_MISSING, str(tools), "is not there")
    units.check_code()
    trusted.open_directory(tools / "scripts", make=True).__exit__()
    texts = {"hooks": HOOK_TEXT.format(python=sys.executable), "scripts/init-premount": SCRIPT_TEXT}
    for directory, text in texts.items():
        with trusted.open_directory(tools / directory, make=True) as opened:
            opened.write(HOOK, text.encode(), mode=0o755)


def disable(tools: Path = TOOLS) -> None:
    """Images that are made from now on have nothing of ours.

    :raises Refusal: ``path-untrusted``, ``store-unwritable``
    """
    for directory in ("hooks", "scripts/init-premount"):
        try:
            with trusted.open_directory(tools / directory) as opened:
                opened.remove(HOOK)
        except FileNotFoundError:
            continue


def fill(release: str, destination: Path, store: Store | None = None) -> Iterator[str]:
    """Put the modules for `release` into the image that is being made below `destination`; says
    what was left out."""
    kept = store or Store()
    entries: list[Entry] = []
    for name in kept.names(release):
        try:
            entries.append(kept.entry(release, name))
        except Refusal as refusal:
            yield str(refusal)
    place = destination / INSIDE
    place.mkdir(parents=True, exist_ok=True)
    for number, entry in enumerate(sorted(entries, key=in_order)):
        if not entry.enabled:
            continue
        try:
            tries = kept.tries(entry)
            if not tries.good or tries.failed:
                yield f"{entry.name}: the last boot did not come up with it, so the initramfs does without it"
                continue
            (place / f"{number:04d}-{entry.name}.ko").write_bytes(kept.module(entry))
        except Refusal as refusal:
            yield str(refusal)


def main(words: Sequence[str]) -> int:
    """The hook's part; an image is made in any case: one without live patches boots."""
    release, destination = words
    for said in fill(release, Path(destination)):
        print(f"suture: {said}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
