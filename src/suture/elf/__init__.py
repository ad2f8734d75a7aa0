# SPDX-License-Identifier: GPL-2.0-or-later
"""Object files as data: from bytes to values, and back."""
