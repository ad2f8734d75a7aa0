# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line.  Each file holds one command: it parses, makes one library call, and prints."""
