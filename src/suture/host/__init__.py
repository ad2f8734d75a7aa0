# SPDX-License-Identifier: GPL-2.0-or-later
"""What this host offers to every room: processes, files, cache paths, and a place to report
progress."""
