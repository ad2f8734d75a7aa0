# SPDX-License-Identifier: GPL-2.0-or-later
"""The target: the kernel to be patched, with its image, symbols, configuration, exports and
source."""
