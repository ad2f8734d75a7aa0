# SPDX-License-Identifier: GPL-2.0-or-later
"""The target: the kernel to patch, with its image, symbols, configuration, exports and modules."""
