# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of a patch, read into values: one module for each format."""
