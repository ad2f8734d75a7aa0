# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: boots a target's own image in QEMU, runs commands in the guest, and watches its kernel
log."""
