# SPDX-License-Identifier: GPL-2.0-or-later
"""Suture turns a fix for the Linux kernel into a live patch, proves that it fits, and moves a
running kernel to it."""

__version__ = "0.1.0"
