# SPDX-License-Identifier: GPL-2.0-or-later
"""What authors write, read into values: one file per patch format."""
