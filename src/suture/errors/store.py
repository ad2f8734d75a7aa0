# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches that are kept for the next boots."""

from __future__ import annotations

from suture.errors.refusal import Kind

PATH_UNTRUSTED = Kind(
    "path-untrusted",
    "Root loads into the kernel what lies there, so nobody else may be able to change it or to put something else in "
    "its place.",
    "Find out who made it so, then give it to root alone (chown root:root, chmod go-w), with no symbolic link on the "
    "way.",
)
STORE_DAMAGED = Kind(
    "store-damaged",
    "What is kept for the next boots is checked by its hash each time it is used, and this is not what was installed.",
    "Install the live patch again from its module file, or take it out: 'suture uninstall NAME'.",
)
STORE_UNWRITABLE = Kind(
    "store-unwritable",
    "What is kept for the next boots is as it was before, or already as it was to be: never between.",
    "Make room in /var/lib/suture, or make it writable, and run the same command again.",
)
NOT_INSTALLED = Kind(
    "not-installed",
    "No live patch of that name is kept for that kernel.",
    "See what is kept with 'suture store list'.",
)
SET_ASIDE = Kind(
    "set-aside",
    "Two boots in a row did not come up with this live patch, so it is not tried again: a live patch must not keep a "
    "host from booting.",
    "See why with 'suture store check' and 'journalctl -u suture'; 'suture enable NAME' tries it again.",
)
SYSTEMD_MISSING = Kind(
    "systemd-missing",
    "At boot, a unit of systemd's loads what is installed.",
    "Have your init run 'python3 -I -m suture.core.boot' early, and 'python3 -I -m suture.core.boot --confirm' at the "
    "end.",
)
INITRAMFS_TOOLS_MISSING = Kind(
    "initramfs-tools-missing",
    "Live patches get into the initramfs by a hook of initramfs-tools.",
    "Install initramfs-tools, or do without: at boot, suture.service loads them before the network is up.",
)
