# SPDX-License-Identifier: GPL-2.0-or-later
"""Installed live patches."""

from __future__ import annotations

from suture.errors.refusal import Kind

PATH_UNTRUSTED = Kind(
    "path-untrusted",
    "Root loads files from here into the kernel, so nobody else may be able to change or replace "
    "them.",
    "Find out how it came to be so, then give it to root alone (chown root:root, chmod go-w), "
    "with no symbolic link in the path.",
)
STORE_DAMAGED = Kind(
    "store-damaged",
    "Suture checks an installed live patch against its hash at every use, and this is not what "
    "was installed.",
    "Install the live patch again from its module file, or remove it: 'suture uninstall NAME'.",
)
STORE_UNWRITABLE = Kind(
    "store-unwritable",
    "The store could not be changed. It is either as it was or as it was to become, and never in "
    "between.",
    "Free some space in /var/lib/suture, or make it writable, and run the same command again.",
)
NOT_INSTALLED = Kind(
    "not-installed",
    "No live patch of that name is installed for that kernel.",
    "See what is installed with 'suture store list'.",
)
SET_ASIDE = Kind(
    "set-aside",
    "Two boots in a row failed with this live patch, so it is not tried again: a live patch must "
    "not keep a host from booting.",
    "Find the reason with 'suture store check' and 'journalctl -u suture'; 'suture enable NAME' "
    "tries it again.",
)
SYSTEMD_MISSING = Kind(
    "systemd-missing",
    "A systemd unit loads installed live patches at boot.",
    "Have your init system run 'python3 -I -m suture.core.boot' early, and 'python3 -I -m "
    "suture.core.boot --confirm' at the end.",
)
INITRAMFS_TOOLS_MISSING = Kind(
    "initramfs-tools-missing",
    "A hook of initramfs-tools puts live patches into the initramfs.",
    "Install initramfs-tools, or do without: at boot, suture.service loads them before the "
    "network is up.",
)
