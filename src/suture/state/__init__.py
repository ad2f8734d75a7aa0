# SPDX-License-Identifier: GPL-2.0-or-later
"""What the new code of a live patch meets in a running kernel: objects with the old layout, state
that only boot set up, threads that never leave, and others that call by the old rules."""
