# SPDX-License-Identifier: GPL-2.0-or-later
"""Is what was compiled what is running?  Evidence from the shipped kernel, and the verdict."""
