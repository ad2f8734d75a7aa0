# SPDX-License-Identifier: GPL-2.0-or-later
"""The throwaway machine: boots a target's own image in QEMU, runs commands in it, and watches its
kernel log."""
