# SPDX-License-Identifier: GPL-2.0-or-later
"""The host: processes, files, cache paths, and the place to report progress."""
