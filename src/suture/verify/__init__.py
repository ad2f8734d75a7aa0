# SPDX-License-Identifier: GPL-2.0-or-later
"""Verification against the shipped kernel: replaced functions, their callers, kernel threads."""
