# SPDX-License-Identifier: GPL-2.0-or-later
"""Object files as data: bytes in, values out, and back.  Imports nothing of ours but the errors."""
