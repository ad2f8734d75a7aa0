# SPDX-License-Identifier: GPL-2.0-or-later
"""The target's source tree, prepared for compiling single files exactly as the target was
compiled."""
