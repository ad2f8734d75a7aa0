# SPDX-License-Identifier: GPL-2.0-or-later
"""What relocation types mean, one file per architecture."""
