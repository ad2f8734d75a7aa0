# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patch modules as values: contents, module information, signatures."""
